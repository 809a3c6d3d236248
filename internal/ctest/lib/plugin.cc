// A C++ library to be dlopened: static and thread-local objects that allocate,
// huge allocations, exceptions, threads.
#include <map>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#include "check.h"
static std::map<int, std::string> table = {{1, std::string(100, 'a')}, {2, std::string(5000, 'b')}};
static std::string *leaked_until_close = new std::string(300, 'c');
struct Closer {
  ~Closer() { delete leaked_until_close; }
} closer;
static thread_local std::vector<int> local(100, 7);
static int calls;
static void counting() {
  if (++calls == 3) std::set_new_handler(nullptr);
}
extern "C" {
std::string *plugin_string(int n) { return new std::string((size_t)n, 'p'); }
int plugin_huge() {
  int caught = 0;
  try {
    hide(::operator new(num(PTRDIFF_MAX)));
  } catch (const std::bad_alloc &) {
    caught++;
  }
  try {
    hide(new char[num((size_t)1 << 61)]);
  } catch (const std::bad_alloc &) {
    caught++;
  }
  if (hide(::operator new(num(PTRDIFF_MAX), std::nothrow)) == nullptr) caught++;
  return caught == 3;
}
int plugin_handler() {
  calls = 0;
  std::set_new_handler(counting);
  try {
    hide(::operator new(num(PTRDIFF_MAX)));
  } catch (const std::bad_alloc &) {
    return calls;
  }
  return -1;
}
void plugin_throw() {
  std::vector<std::string> v(50, std::string(100, 'v'));
  hide(::operator new(num(PTRDIFF_MAX)));
}
int plugin_work() {
  int bad = 0;
  std::thread t([&] {
    local.push_back(8);
    for (int i = 0; i < 200; i++) table[i % 20] += std::string((size_t)i, 'w');
    bad += local.size() != 101;
  });
  t.join();
  try {
    throw std::runtime_error(std::string(1000, 'e'));
  } catch (const std::exception &e) {
    bad += strlen(e.what()) != 1000;
  }
  table.clear();
  return bad;
}
}
