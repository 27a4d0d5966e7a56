// Exceptions stop at the C border: guarded() keeps the first line of the reason for gt_error().
#pragma once
#include <c10/util/Exception.h>

#include <exception>
#include <string>

namespace graft {

inline std::string& last_error() {
  thread_local std::string text;
  return text;
}

inline std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

template <class Body>
int guarded(Body&& body) {
  try {
    body();
    return 0;
  } catch (const c10::Error& e) {
    last_error() = first_line(e.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    last_error() = "out of memory";
  } catch (const std::exception& e) {
    last_error() = first_line(e.what());
  } catch (...) {
    last_error() = "unknown native error";
  }
  return 1;
}

}  // namespace graft
