// operator new with a hot/cold hint gives what plain new gives: aligned, writable, deletable in every form; it throws
// or returns nullptr when there is none; cold objects and others are on different pages.
#include "check.h"
#include <new>
#include <cstdint>
#include <initializer_list>
#include <set>
#include <vector>
enum class __hot_cold_t : uint8_t;
void *operator new(size_t, __hot_cold_t) __attribute__((weak));
void *operator new[](size_t, __hot_cold_t) __attribute__((weak));
void *operator new(size_t, const std::nothrow_t &, __hot_cold_t) noexcept __attribute__((weak));
void *operator new[](size_t, const std::nothrow_t &, __hot_cold_t) noexcept __attribute__((weak));
void *operator new(size_t, std::align_val_t, __hot_cold_t) __attribute__((weak));
void *operator new[](size_t, std::align_val_t, __hot_cold_t) __attribute__((weak));
void *operator new(size_t, std::align_val_t, const std::nothrow_t &, __hot_cold_t) noexcept __attribute__((weak));
void *operator new[](size_t, std::align_val_t, const std::nothrow_t &, __hot_cold_t) noexcept __attribute__((weak));

static void use(void *p, size_t n, size_t align) {
  CHECK(p && (uintptr_t)p % align == 0);
  memset(p, 0x5a, n);
}

int main() {
  void *(*plain)(size_t, __hot_cold_t) = &operator new;
  if (!plain) return ok();  // another allocator
  for (int hint : {0, 1, 127, 128, 255}) {
    auto h = __hot_cold_t(hint);
    for (size_t n : {size_t(1), size_t(100), size_t(5000), size_t(262144), size_t(262145), size_t(3000000), size_t(9000001)}) {
      void *p = ::operator new(n, h);
      use(p, n, n < 16 ? 8 : 16);
      ::operator delete(p);
      p = ::operator new[](n, h);
      use(p, n, n < 16 ? 8 : 16);
      ::operator delete[](p);
      p = ::operator new(n, h);
      ::operator delete(p, n);  // sized
      p = ::operator new(n, std::nothrow, h);
      use(p, n, 8);
      ::operator delete(p, std::nothrow);
      p = ::operator new[](n, std::nothrow, h);
      use(p, n, 8);
      ::operator delete[](p, n);
      for (size_t a : {size_t(16), size_t(64), size_t(4096), size_t(1) << 22}) {
        p = ::operator new(n, std::align_val_t(a), h);
        use(p, n, a);
        ::operator delete(p, n, std::align_val_t(a));
        p = ::operator new[](n, std::align_val_t(a), h);
        use(p, n, a);
        ::operator delete[](p, std::align_val_t(a));
        p = ::operator new(n, std::align_val_t(a), std::nothrow, h);
        use(p, n, a);
        ::operator delete(p, std::align_val_t(a));
        p = ::operator new[](n, std::align_val_t(a), std::nothrow, h);
        use(p, n, a);
        ::operator delete[](p, std::align_val_t(a));
      }
    }
    bool thrown = false;
    try {
      use(::operator new(SIZE_MAX / 2, h), 1, 1);
    } catch (const std::bad_alloc &) {
      thrown = true;
    }
    CHECK(thrown);
    CHECK(::operator new(SIZE_MAX / 2, std::nothrow, h) == nullptr);
    CHECK(::operator new[](SIZE_MAX / 2, std::align_val_t(64), std::nothrow, h) == nullptr);
  }
  std::set<uintptr_t> cold, warm;  // pages, to the last object of each
  std::vector<void *> all;
  for (int i = 0; i < 2000; i++)
    for (size_t n : {size_t(40), size_t(700), size_t(9000)}) {
      bool c = i % 3 == 0;
      void *p = c ? ::operator new(n, __hot_cold_t(1)) : ::operator new(n);
      use(p, n, 16);
      for (uintptr_t a = uintptr_t(p); a < uintptr_t(p) + n; a += 4096) (c ? cold : warm).insert(a / 4096);
      all.push_back(p);
    }
  for (uintptr_t page : cold) CHECK(!warm.count(page));
  for (void *p : all) ::operator delete(p);
  return ok();
}
