// The new-handler is called again and again until it throws or is reset; by
// every form, nothrow and aligned too; set_new_handler returns the old one.
#include <new>
#include "check.h"
static int calls, limit;
static void counting() {
  if (++calls == limit) std::set_new_handler(nullptr);
}
struct Odd {
  int value;
};
static void throwing_odd() { calls++, throw Odd{42}; }
static void throwing_bad_alloc() { calls++, throw std::bad_alloc(); }
static const size_t HUGE_SIZE = (size_t)PTRDIFF_MAX;
template <class F> void repeats(int line, bool nothrow, F f) {
  for (limit = 1; limit < 6; limit++) {
    calls = 0;
    CHECK(std::set_new_handler(counting) == nullptr);
    bool caught = false;
    void *p = nullptr;
    try {
      p = hide(f());
    } catch (const std::bad_alloc &) {
      caught = true;
    }
    CHECKF(calls == limit, "line %d: handler called %d times, want %d", line, calls, limit);
    CHECKF(p == nullptr && caught == !nothrow, "line %d: p %p, threw %d", line, p, caught);
    CHECK(std::get_new_handler() == nullptr);
  }
  // A handler may throw bad_alloc: the nothrow forms swallow it.
  calls = 0;
  std::set_new_handler(throwing_bad_alloc);
  bool caught = false;
  void *p = nullptr;
  try {
    p = hide(f());
  } catch (const std::bad_alloc &) {
    caught = true;
  }
  CHECKF(calls == 1 && p == nullptr && caught == !nothrow, "line %d: calls %d, p %p, threw %d", line, calls, p, caught);
  CHECK(std::set_new_handler(nullptr) == throwing_bad_alloc);
  // Or anything else, which passes through the throwing forms.
  if (!nothrow) {
    calls = 0;
    std::set_new_handler(throwing_odd);
    int value = 0;
    try {
      p = hide(f());
    } catch (const Odd &o) {
      value = o.value;
    }
    CHECKF(calls == 1 && value == 42, "line %d: calls %d, value %d", line, calls, value);
    std::set_new_handler(nullptr);
  }
}
#define REPEATS(nothrow, ...) repeats(__LINE__, nothrow, [] { return (void *)(__VA_ARGS__); })
int main() {
  static std::align_val_t a64 = std::align_val_t(64);
  REPEATS(false, ::operator new(HUGE_SIZE));
  REPEATS(false, ::operator new[](HUGE_SIZE));
  REPEATS(false, ::operator new(HUGE_SIZE, a64));
  REPEATS(false, ::operator new[](HUGE_SIZE, a64));
  REPEATS(true, ::operator new(HUGE_SIZE, std::nothrow));
  REPEATS(true, ::operator new[](HUGE_SIZE, std::nothrow));
  REPEATS(true, ::operator new(HUGE_SIZE, a64, std::nothrow));
  REPEATS(true, ::operator new[](HUGE_SIZE, a64, std::nothrow));
  return ok();
}
