// operator new throws std::bad_alloc when memory ends, in the main thread and
// in others, and works again after frees.
// run: 512 mixed
// run: 192 small
// timeout: 120s
#include <new>
#include <thread>
#include "exhaust.h"
static void *get(size_t n) {
  try {
    return hide(::operator new(n));
  } catch (const std::bad_alloc &) {
    CHECK(hide(::operator new(64 << 20, std::nothrow)) == nullptr);
    return nullptr;
  }
}
int main(int argc, char **argv) {
  CHECK(argc > 2);
  limited(RLIMIT_AS, (size_t)arg_long(argc, argv, 1, 512), argc, argv);
  std::thread([&] { exhaust_fill(argv[2], get); }).join();
  exhaust_check(argv[2], get);
  exhaust_fill(argv[2], get);
  exhaust_check(argv[2], get);
  return ok();
}
