// Antialiased resizing as PIL's Image.resize does it (BILINEAR, BICUBIC), to one level: a filter whose support grows with the
// reduction. Crop, resize, window, flip and normalise are one pass: only pixels that are kept are made.
#include <algorithm>
#include <cmath>
#include <vector>

#include "pictures.h"

#if defined(__x86_64__)
#define HOT __attribute__((target_clones("arch=haswell", "default")))
#else
#define HOT
#endif

namespace {

struct Taps {
  int first = 0, count = 0;  // input positions first … first + count - 1
  size_t weights = 0;        // where their weights start
};

struct Filter {
  std::vector<Taps> taps;
  std::vector<float> weights;  // of each tap, then zeros up to the longest
  int longest = 0;
};

// Weights for outputs from … to-1 of `out` made from `in` samples. Centres and clamping follow PIL's Resample.c.
Filter make_filter(int in, int out, int from, int to, bool cubic) {
  Filter filter;
  double scale = static_cast<double>(in) / out, stretch = std::max(scale, 1.0), support = stretch * (cubic ? 2 : 1);
  int longest = static_cast<int>(2 * support) + 2;
  for (int k = from; k < to; k++) {
    double centre = (k + 0.5) * scale;
    int first = std::max(0, static_cast<int>(centre - support + 0.5));
    int last = std::min(in, static_cast<int>(centre + support + 0.5));
    Taps tap{first, last - first, filter.weights.size()};
    auto kernel = [&](int x) {
      double t = std::abs((x - centre + 0.5) / stretch);
      if (!cubic) return std::max(0.0, 1.0 - t);
      // Keys 1981, eq. 4, with a = -1/2.
      return t < 1 ? (1.5 * t - 2.5) * t * t + 1 : t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0.0;
    };
    double sum = 0;
    for (int x = first; x < last; x++) sum += kernel(x);
    for (int x = first; x < last; x++) filter.weights.push_back(static_cast<float>(kernel(x) / sum));
    filter.weights.resize(tap.weights + static_cast<size_t>(std::max(longest, tap.count)));
    filter.taps.push_back(tap);
    filter.longest = std::max(filter.longest, tap.count);
  }
  return filter;
}

// All taps of a stretch in one pass over it, so that the sums stay in registers.
template <int count>
inline __attribute__((always_inline)) void blend_fixed(const uint8_t* rows, size_t stride, const float* weights, float* __restrict out, int n) {
  for (int i = 0; i < n; i++) {
    float sum = 0;
#pragma GCC unroll 8
    for (int k = 0; k < count; k++) sum += weights[k] * static_cast<float>(rows[k * stride + i]);
    out[i] = sum;
  }
}

HOT void blend_rows(const uint8_t* rows, size_t stride, const float* weights, int count, float* __restrict out, int n) {
  switch (count) {
    case 1: return blend_fixed<1>(rows, stride, weights, out, n);
    case 2: return blend_fixed<2>(rows, stride, weights, out, n);
    case 3: return blend_fixed<3>(rows, stride, weights, out, n);
    case 4: return blend_fixed<4>(rows, stride, weights, out, n);
    case 5: return blend_fixed<5>(rows, stride, weights, out, n);
    case 6: return blend_fixed<6>(rows, stride, weights, out, n);
    default: break;
  }
  for (int i = 0; i < n; i++) out[i] = weights[0] * static_cast<float>(rows[i]);
  for (int k = 1; k < count; k++) {
    const uint8_t* row = rows + k * stride;
    float weight = weights[k];
    for (int i = 0; i < n; i++) out[i] += weight * static_cast<float>(row[i]);
  }
}

// Three channels and a spare one in a register: rows have a spare float behind them for the last read and write.
typedef float Four __attribute__((vector_size(16)));

inline __attribute__((always_inline)) void sum_any(const float* from, const float* weight, int count, float* out) {
  Four sum = {0.5f, 0.5f, 0.5f, 0.5f};
  for (int k = 0; k < count; k++) {
    Four pixel;
    std::memcpy(&pixel, from + 3 * k, sizeof pixel);
    sum += weight[k] * pixel;
  }
  std::memcpy(out, &sum, sizeof sum);
}

// Sums of `count` pixels each; shorter ones have weights of zero at their end, and the row zeros behind it.
template <int count>
inline __attribute__((always_inline)) void sum_fixed(const float* row, const Taps* taps, const float* weights, int offset, int n, float* out) {
  for (int x = 0; x < n; x++) {
    const float* from = row + 3 * (taps[x].first - offset);
    const float* weight = weights + static_cast<size_t>(taps[x].weights);
    Four sum = {0.5f, 0.5f, 0.5f, 0.5f};
#pragma GCC unroll 8
    for (int k = 0; k < count; k++) {
      Four pixel;
      std::memcpy(&pixel, from + 3 * k, sizeof pixel);
      sum += weight[k] * pixel;
    }
    std::memcpy(out + 3 * x, &sum, sizeof sum);
  }
}

// One output row: 3 floats a pixel, rounded to whole levels as an 8-bit picture would be.
HOT void blend_columns(const float* row, const Taps* taps, const float* weights, int longest, int offset, int n, float* out) {
  switch (longest) {
    case 2: sum_fixed<2>(row, taps, weights, offset, n, out); break;
    case 3: sum_fixed<3>(row, taps, weights, offset, n, out); break;
    case 4: sum_fixed<4>(row, taps, weights, offset, n, out); break;
    case 5: sum_fixed<5>(row, taps, weights, offset, n, out); break;
    case 6: sum_fixed<6>(row, taps, weights, offset, n, out); break;
    default:
      for (int x = 0; x < n; x++) sum_any(row + 3 * (taps[x].first - offset), weights + taps[x].weights, taps[x].count, out + 3 * x);
  }
  for (int i = 0; i < 3 * n; i++) out[i] = static_cast<float>(static_cast<int>(std::max(0.0f, std::min(255.0f, out[i]))));
}

HOT void write_floats(const float* __restrict row, int n, const float* scale, const float* shift, float* __restrict out) {
  for (int x = 0; x < n; x++)
    for (int c = 0; c < 3; c++) out[3 * x + c] = row[3 * x + c] * scale[c] + shift[c];
}

HOT void write_plane(const float* __restrict row, int n, int c, float scale, float shift, float* __restrict out) {
  for (int x = 0; x < n; x++) out[x] = row[3 * x + c] * scale + shift;
}

}  // namespace

struct GpResample {
  int32_t box_x, box_y, box_w, box_h;       // crop of the input, resized to
  int32_t out_w, out_h;                     // this size, of which
  int32_t win_x, win_y, win_w, win_h;       // this window is made
  int32_t flip;                             // left to right
  int32_t planar;                           // floats: 1 = C×H×W, 0 = H×W×C
  int32_t cubic;                            // 0 = triangle
  float scale[3], shift[3];                 // floats: level * scale + shift
};

namespace {

float whole(float value) { return static_cast<float>(static_cast<int>(std::max(0.0f, std::min(255.0f, value + 0.5f)))); }

// One finished row of whole levels, as bytes or as floats.
void put(const GpResample& s, int y, const float* row, uint8_t* bytes, float* floats) {
  if (bytes) {
    uint8_t* out = bytes + 3 * static_cast<size_t>(y) * s.win_w;
    for (int i = 0; i < 3 * s.win_w; i++) out[i] = static_cast<uint8_t>(row[i]);
  } else if (s.planar) {
    size_t plane = static_cast<size_t>(s.win_w) * s.win_h;
    for (int c = 0; c < 3; c++) write_plane(row, s.win_w, c, s.scale[c], s.shift[c], floats + c * plane + static_cast<size_t>(y) * s.win_w);
  } else {
    write_floats(row, s.win_w, s.scale, s.shift, floats + 3 * static_cast<size_t>(y) * s.win_w);
  }
}

// A bicubic filter overshoots, and PIL cuts off what does after each of its two passes, columns first: so the order matters.
void columns_first(const GpResample& s, const uint8_t* pixels, size_t stride, const Filter& across, const Filter& down, uint8_t* bytes, float* floats) {
  int top = down.taps.front().first, bottom = top;
  for (const auto& tap : down.taps) bottom = std::max(bottom, tap.first + tap.count);
  const size_t wide = 3 * static_cast<size_t>(s.win_w);
  std::vector<uint8_t> narrow(wide * static_cast<size_t>(bottom - top));
  std::vector<float> row(wide + 1);
  for (int y = top; y < bottom; y++) {
    const uint8_t* from = pixels + static_cast<size_t>(s.box_y + y) * stride + 3 * static_cast<size_t>(s.box_x);
    uint8_t* to = narrow.data() + wide * static_cast<size_t>(y - top);
    for (int x = 0; x < s.win_w; x++)
      for (int c = 0; c < 3; c++) {
        const Taps& tap = across.taps[x];
        float sum = 0;
        for (int k = 0; k < tap.count; k++) sum += across.weights[tap.weights + k] * static_cast<float>(from[3 * (tap.first + k) + c]);
        to[3 * x + c] = static_cast<uint8_t>(whole(sum));
      }
  }
  for (int y = 0; y < s.win_h; y++) {
    const Taps& tap = down.taps[y];
    blend_rows(narrow.data() + wide * static_cast<size_t>(tap.first - top), wide, down.weights.data() + tap.weights, tap.count, row.data(), static_cast<int>(wide));
    for (size_t i = 0; i < wide; i++) row[i] = whole(row[i]);
    put(s, y, row.data(), bytes, floats);
  }
}

}  // namespace

// Exactly one of `bytes` (win_w × win_h × 3) and `floats` is written.
GP_API void gp_resample(const uint8_t* pixels, int width, const GpResample* spec, uint8_t* bytes, float* floats) {
  const auto& s = *spec;
  const size_t stride = 3 * static_cast<size_t>(width);
  Filter across = make_filter(s.box_w, s.out_w, s.win_x, s.win_x + s.win_w, s.cubic != 0);
  Filter down = make_filter(s.box_h, s.out_h, s.win_y, s.win_y + s.win_h, s.cubic != 0);
  int left = across.taps.front().first, right = left;
  for (const auto& tap : across.taps) right = std::max(right, tap.first + tap.count);
  if (s.flip) std::reverse(across.taps.begin(), across.taps.end());
  if (s.cubic) {
    columns_first(s, pixels, stride, across, down, bytes, floats);
    return;
  }
  std::vector<float> tall(3 * static_cast<size_t>(right - left + across.longest) + 1), row(3 * static_cast<size_t>(s.win_w) + 1);
  const uint8_t* origin = pixels + static_cast<size_t>(s.box_y) * stride + 3 * static_cast<size_t>(s.box_x + left);
  for (int y = 0; y < s.win_h; y++) {
    const Taps& tap = down.taps[y];
    blend_rows(origin + tap.first * stride, stride, down.weights.data() + tap.weights, tap.count, tall.data(), 3 * (right - left));
    blend_columns(tall.data(), across.taps.data(), across.weights.data(), across.longest, left, s.win_w, row.data());
    put(s, y, row.data(), bytes, floats);
  }
}
