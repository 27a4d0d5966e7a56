// Pictures as 8-bit RGB, row by row, three bytes a pixel. Errors as in graft_torch.h, told by gp_error().
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#define GP_API extern "C" __attribute__((visibility("default")))

enum GpStatus : int {
  GP_OK = 0,
  GP_BROKEN = 1,       // not a picture, or cut off
  GP_TOO_LARGE = 2,    // more pixels than the limit
  GP_OTHER_READER = 3, // a JPEG that TurboJPEG does not turn into RGB (CMYK, 12 bit, lossless)
};
