// Every format but plain JPEG, by libvips: upright, 8 bits, RGB, transparency laid on white.
#include <vips/vips.h>

#include <mutex>

#include "pictures.h"

namespace {

std::string& error_text() {
  thread_local std::string text;
  return text;
}

int fail(GpStatus status, std::string text) {
  text = text.substr(0, text.find('\n'));
  error_text() = text.empty() ? "not a picture that can be read" : text;
  vips_error_clear();
  return status;
}

void start() {
  static std::once_flag once;
  std::call_once(once, [] {
    VIPS_INIT("graft");
    vips_concurrency_set(1);  // the loader is parallel across pictures already
    vips_cache_set_max(0);
    vips_block_untrusted_set(TRUE);
    // libvips reads BMP by ImageMagick only; decode() lets nothing else reach it.
    vips_operation_block_set("VipsForeignLoadMagick", FALSE);
  });
}

struct Image {
  VipsImage* image = nullptr;
  ~Image() { if (image) g_object_unref(image); }
  void become(VipsImage* next) { if (image) g_object_unref(image); image = next; }
};

// Formats are told by their first bytes: an unknown one is refused before any loader sees it.
const char* loader_options(const uint8_t* b, int64_t n) {
  auto starts = [&](const char* magic, size_t size) { return n >= static_cast<int64_t>(size) && std::memcmp(b, magic, size) == 0; };
  if (starts("\xff\xd8\xff", 3) || starts("\x89PNG", 4) || starts("GIF8", 4) || starts("II*\0", 4) || starts("MM\0*", 4) ||
      starts("II+\0", 4) || starts("MM\0+", 4) || (starts("RIFF", 4) && n >= 12 && std::memcmp(b + 8, "WEBP", 4) == 0) ||
      starts("BM", 2) || (n >= 12 && std::memcmp(b + 4, "ftyp", 4) == 0) || starts("P5", 2) || starts("P6", 2))
    return "";
  return nullptr;
}

}  // namespace

GP_API const char* gv_error() { return error_text().c_str(); }
GP_API void gv_free(void* memory) { g_free(memory); }

GP_API int gv_decode(const uint8_t* bytes, int64_t length, int64_t pixel_limit, uint8_t** pixels, int* width, int* height) {
  start();
  const char* options = loader_options(bytes, length);
  if (!options) return fail(GP_BROKEN, "not a picture: the first bytes are of no known format");
  Image in;
  in.image = vips_image_new_from_buffer(bytes, static_cast<size_t>(length), options, "access", VIPS_ACCESS_SEQUENTIAL,
                                        "fail_on", VIPS_FAIL_ON_TRUNCATED, nullptr);
  if (!in.image) return fail(GP_BROKEN, vips_error_buffer());
  int64_t w = in.image->Xsize, h = in.image->Ysize;
  if (w * h > pixel_limit) return fail(GP_TOO_LARGE, std::to_string(w) + "x" + std::to_string(h) + " pixels");
  VipsImage* next = nullptr;
  // Autorotation reads out of order, so a turned picture is first brought into memory.
  if (vips_image_get_orientation(in.image) > 1) {
    if (!(next = vips_image_copy_memory(in.image))) return fail(GP_BROKEN, vips_error_buffer());
    in.become(next);
    if (vips_autorot(in.image, &next, nullptr)) return fail(GP_BROKEN, vips_error_buffer());
    in.become(next);
  }
  // vips_colourspace scales 16 bits down; multi-band pictures of no known kind keep their first three bands.
  if (vips_colourspace_issupported(in.image)) {
    if (vips_colourspace(in.image, &next, VIPS_INTERPRETATION_sRGB, nullptr)) return fail(GP_BROKEN, vips_error_buffer());
    in.become(next);
  }
  if (vips_image_hasalpha(in.image)) {
    VipsArrayDouble* white = vips_array_double_newv(1, 255.0);
    int bad = vips_flatten(in.image, &next, "background", white, nullptr);
    vips_area_unref(VIPS_AREA(white));
    if (bad) return fail(GP_BROKEN, vips_error_buffer());
    in.become(next);
  }
  if (in.image->BandFmt != VIPS_FORMAT_UCHAR) {
    if (vips_cast(in.image, &next, VIPS_FORMAT_UCHAR, nullptr)) return fail(GP_BROKEN, vips_error_buffer());
    in.become(next);
  }
  if (in.image->Bands == 1 || in.image->Bands == 2) {
    VipsImage* grey = nullptr;
    if (vips_extract_band(in.image, &grey, 0, nullptr)) return fail(GP_BROKEN, vips_error_buffer());
    VipsImage* three[3] = {grey, grey, grey};
    int bad = vips_bandjoin(three, &next, 3, nullptr);
    g_object_unref(grey);
    if (bad) return fail(GP_BROKEN, vips_error_buffer());
    in.become(next);
  } else if (in.image->Bands > 3) {
    if (vips_extract_band(in.image, &next, 0, "n", 3, nullptr)) return fail(GP_BROKEN, vips_error_buffer());
    in.become(next);
  }
  size_t size = 0;
  auto* memory = static_cast<uint8_t*>(vips_image_write_to_memory(in.image, &size));
  if (!memory) return fail(GP_BROKEN, vips_error_buffer());
  *pixels = memory;
  *width = in.image->Xsize;
  *height = in.image->Ysize;
  return GP_OK;
}

// A UTF-8 name in Unicode's composed form (NFC), to be freed by gv_free; null where it is no UTF-8.
GP_API char* gv_compose(const char* name) { return g_utf8_normalize(name, -1, G_NORMALIZE_NFC); }
