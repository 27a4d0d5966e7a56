// JPEG to RGB by libjpeg-turbo, with the accurate DCT and smooth chroma that PIL uses, upright by its EXIF orientation.
#include <malloc.h>
#include <turbojpeg.h>
// jpeglib.h needs these two before it.
#include <cstddef>
#include <cstdio>
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>
#include <memory>
#include <vector>

#include "pictures.h"

namespace {

std::string& error_text() {
  thread_local std::string text;
  return text;
}

int fail(GpStatus status, const std::string& text) {
  error_text() = text;
  return status;
}

tjhandle decoder() {
  struct Handle {
    tjhandle handle = tjInitDecompress();
    ~Handle() { tjDestroy(handle); }
  };
  thread_local Handle mine;
  return mine.handle;
}

// EXIF 2.3, tag 0x0112 in IFD0 of the first APP1 segment; 1 where there is none or it is malformed.
int exif_orientation(const uint8_t* bytes, size_t length) {
  size_t at = 2;
  while (at + 4 <= length && bytes[at] == 0xff) {
    uint8_t marker = bytes[at + 1];
    if (marker == 0xff) { at++; continue; }
    if (marker == 0xda || marker == 0xd9) return 1;
    size_t size = static_cast<size_t>(bytes[at + 2]) << 8 | bytes[at + 3];
    if (size < 2 || at + 2 + size > length) return 1;
    if (marker == 0xe1 && size >= 16 && std::memcmp(bytes + at + 4, "Exif\0\0", 6) == 0) {
      const uint8_t* tiff = bytes + at + 10;
      size_t room = size - 8;
      bool big = tiff[0] == 'M';
      auto u16 = [&](size_t p) { return big ? tiff[p] << 8 | tiff[p + 1] : tiff[p + 1] << 8 | tiff[p]; };
      auto u32 = [&](size_t p) {
        return big ? static_cast<size_t>(u16(p)) << 16 | u16(p + 2) : static_cast<size_t>(u16(p + 2)) << 16 | u16(p);
      };
      size_t directory = u32(4);
      if (directory + 2 > room) return 1;
      int entries = u16(directory);
      for (int k = 0; k < entries; k++) {
        size_t entry = directory + 2 + 12 * static_cast<size_t>(k);
        if (entry + 12 > room) return 1;
        if (u16(entry) == 0x0112) {
          int value = u16(entry + 8);
          return value >= 1 && value <= 8 ? value : 1;
        }
      }
      return 1;
    }
    at += 2 + size;
  }
  return 1;
}

void upright(const uint8_t* from, int width, int height, int orientation, uint8_t* to) {
  bool transposed = orientation >= 5;
  int out_width = transposed ? height : width;
  int out_height = transposed ? width : height;
  for (int y = 0; y < out_height; y++)
    for (int x = 0; x < out_width; x++) {
      int sx = transposed ? y : x, sy = transposed ? x : y;
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) sx = width - 1 - sx;
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) sy = height - 1 - sy;
      std::memcpy(to + 3 * (static_cast<size_t>(y) * out_width + x), from + 3 * (static_cast<size_t>(sy) * width + sx), 3);
    }
}

// libjpeg's errors: fatal ones jump back; of the warnings only the missing end matters (stray bytes are common and harmless).
struct Reader {
  jpeg_error_mgr manager;
  std::jmp_buf back;
  char text[JMSG_LENGTH_MAX];
  bool cut = false;

  static Reader& of(j_common_ptr jpeg) { return *reinterpret_cast<Reader*>(jpeg->err); }

  static void stop(j_common_ptr jpeg) {
    Reader& reader = of(jpeg);
    reader.manager.format_message(jpeg, reader.text);
    std::longjmp(reader.back, 1);
  }

  static void warn(j_common_ptr jpeg, int level) {
    if (level >= 0) return;
    Reader& reader = of(jpeg);
    reader.manager.num_warnings++;
    reader.manager.format_message(jpeg, reader.text);
    reader.cut |= std::strstr(reader.text, "remature end") != nullptr;
  }
};

}  // namespace

// Pictures come and go by the thousand: their memory is kept for the next one (see tensor.cpp).
__attribute__((constructor)) static void keep_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
#endif
}

GP_API const char* gp_error() { return error_text().c_str(); }

// Width and height as shown (after orientation), from the header alone.
GP_API int gp_jpeg_size(const uint8_t* bytes, int64_t length, int* width, int* height) {
  int subsampling = 0, colours = 0;
  *width = *height = 0;
  tjDecompressHeader3(decoder(), bytes, static_cast<unsigned long>(length), width, height, &subsampling, &colours);
  if (*width < 1 || *height < 1)
    return fail(GP_BROKEN, tjGetErrorStr2(decoder()));
  if (exif_orientation(bytes, static_cast<size_t>(length)) >= 5) std::swap(*width, *height);
  return GP_OK;
}

// *pixels: width × height × 3 bytes, for free(). Only the region (x, y, w, h; w = 0: all of it) is filled, and only where the
// picture stands upright as it is: the transform and the colours of what a crop leaves out are not computed.
GP_API int gp_jpeg_decode(const uint8_t* bytes, int64_t length, int64_t pixel_limit, const int* region, uint8_t** pixels, int* width,
                          int* height) {
  Reader reader;
  jpeg_decompress_struct jpeg;
  jpeg.err = jpeg_std_error(&reader.manager);
  reader.manager.error_exit = Reader::stop;
  reader.manager.emit_message = Reader::warn;
  // Not an object with a destructor: longjmp runs none.
  uint8_t* volatile rgb = nullptr;
  jpeg_create_decompress(&jpeg);
  if (setjmp(reader.back)) {
    jpeg_destroy_decompress(&jpeg);
    std::free(rgb);
    return fail(GP_BROKEN, reader.text);
  }
  jpeg_mem_src(&jpeg, bytes, static_cast<unsigned long>(length));
  jpeg_read_header(&jpeg, TRUE);
  int w = static_cast<int>(jpeg.image_width), h = static_cast<int>(jpeg.image_height);
  int status = GP_OK;
  if (jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK) status = fail(GP_OTHER_READER, "a CMYK JPEG");
  else if (static_cast<int64_t>(w) * h > pixel_limit) status = fail(GP_TOO_LARGE, std::to_string(w) + "x" + std::to_string(h) + " pixels");
  else if (!(rgb = static_cast<uint8_t*>(std::malloc(3 * static_cast<size_t>(w) * h)))) status = fail(GP_TOO_LARGE, "out of memory");
  if (status != GP_OK) {
    jpeg_destroy_decompress(&jpeg);
    return status;
  }
  jpeg.out_color_space = JCS_RGB;
  jpeg.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&jpeg);
  int orientation = exif_orientation(bytes, static_cast<size_t>(length));
  JDIMENSION left = 0, across = jpeg.output_width, top = 0, bottom = jpeg.output_height;
  if (region && region[2] > 0 && orientation == 1) {
    left = static_cast<JDIMENSION>(region[0]);
    across = static_cast<JDIMENSION>(region[2]);
    top = static_cast<JDIMENSION>(region[1]);
    bottom = std::min<JDIMENSION>(bottom, top + static_cast<JDIMENSION>(region[3]));
    if (across < jpeg.output_width) jpeg_crop_scanline(&jpeg, &left, &across);
    if (top > 0) jpeg_skip_scanlines(&jpeg, top);
  }
  while (jpeg.output_scanline < bottom) {
    JSAMPROW row = rgb + 3 * (static_cast<size_t>(jpeg.output_scanline) * w + left);
    jpeg_read_scanlines(&jpeg, &row, 1);
  }
  // The rest is still read, so that a file that is cut off is noticed.
  if (bottom < jpeg.output_height) jpeg_skip_scanlines(&jpeg, jpeg.output_height - bottom);
  jpeg_finish_decompress(&jpeg);
  jpeg_destroy_decompress(&jpeg);
  if (reader.cut) {
    std::free(rgb);
    return fail(GP_BROKEN, "the file is cut off");
  }
  if (orientation > 1) {
    auto* turned = static_cast<uint8_t*>(std::malloc(3 * static_cast<size_t>(w) * h));
    if (turned) upright(rgb, w, h, orientation, turned);
    std::free(rgb);
    if (!turned) return fail(GP_TOO_LARGE, "out of memory");
    rgb = turned;
    if (orientation >= 5) std::swap(w, h);
  }
  *pixels = rgb;
  *width = w;
  *height = h;
  return GP_OK;
}

// RGB to JPEG, for the pictures of a report. *bytes for free().
GP_API int gp_jpeg_encode(const uint8_t* pixels, int width, int height, int quality, uint8_t** bytes, int64_t* length) {
  tjhandle encoder = tjInitCompress();
  unsigned char* made = nullptr;
  unsigned long size = 0;
  int failed = tjCompress2(encoder, pixels, width, 0, height, TJPF_RGB, &made, &size, TJSAMP_420, quality, 0);
  if (failed) {
    error_text() = tjGetErrorStr2(encoder);
  } else {
    *bytes = static_cast<uint8_t*>(std::malloc(size));
    std::memcpy(*bytes, made, size);
    *length = static_cast<int64_t>(size);
  }
  if (made) tjFree(made);
  tjDestroy(encoder);
  return failed ? GP_BROKEN : GP_OK;
}
