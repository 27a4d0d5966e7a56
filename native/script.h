#pragma once
#include <torch/script.h>

namespace graft {

// What a handle of a TorchScript module points to.
struct Script {
  torch::jit::Module module;
};

}  // namespace graft
