// Exceptions thrown while objects are built: what was allocated is freed, and
// exception objects themselves live on the heap, across threads.
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#include "check.h"
static int alive;
struct Part {
  std::string s;
  Part(int i) : s(200 + i, 'x') {
    if (i == 13) throw std::runtime_error("unlucky " + s);
    alive++;
  }
  ~Part() { alive--; }
};
static void build(int depth) {
  std::unique_ptr<char[]> local(new char[depth * 100 + 1]);
  if (depth == 0) {
    std::vector<std::unique_ptr<Part>> v;
    for (int i = 0; i < 20; i++) v.emplace_back(new Part(i));
    return;
  }
  build(depth - 1);
}
int main() {
  for (int i = 0; i < 300; i++) {
    bool caught = false;
    try {
      build(i % 30);
    } catch (const std::runtime_error &e) {
      caught = strncmp(e.what(), "unlucky", 7) == 0;
    }
    CHECK(caught && alive == 0);
  }
  std::exception_ptr ep;
  std::thread([&] {
    try {
      throw std::logic_error(std::string(5000, 'y'));
    } catch (...) {
      ep = std::current_exception();
    }
  }).join();
  try {
    std::rethrow_exception(ep);
  } catch (const std::logic_error &e) {
    CHECK(strlen(e.what()) == 5000);
  }
  return ok();
}
