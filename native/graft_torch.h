// The C face of libtorch that Graft calls: everything goes through the dispatcher's boxed calls, so a new operator
// never needs new C++. Functions that can fail return 0 on success; gt_error() then gives the reason, per thread.
#pragma once
#include <cstdint>

#define GT_API extern "C" __attribute__((visibility("default")))

enum GtTag : int32_t {
  GT_NONE = 0,
  GT_DEFAULT = 1,
  GT_TENSOR = 2,
  GT_INT = 3,
  GT_DOUBLE = 4,
  GT_BOOL = 5,
  GT_STRING = 6,
  GT_INT_LIST = 7,
  GT_DOUBLE_LIST = 8,
  GT_BOOL_LIST = 9,
  GT_TENSOR_LIST = 10,
  GT_DEVICE = 11,  // i = device type << 8 | (index + 1)
};

// One argument or result. Lists: p points at n elements. Result lists and tensors belong to the caller.
struct GtValue {
  int32_t tag;
  int32_t n;
  union {
    int64_t i;
    double d;
    void* p;
  };
};
