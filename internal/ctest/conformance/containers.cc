// The standard library's containers over the allocator, from several threads.
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>
#include "check.h"
static void work(unsigned seed) {
  std::map<std::string, std::vector<int>> m;
  std::unordered_map<int, std::shared_ptr<std::string>> u;
  uint64_t s = seed;
  for (int i = 0; i < 30000; i++) {
    int k = (int)(rnd(&s) % 2000);
    m["key number " + std::to_string(k)].push_back(k);
    u[k] = std::make_shared<std::string>(k % 300, 'z');
    if (k % 7 == 0) m.erase("key number " + std::to_string(k / 2));
    if (k % 5 == 0) u.erase(k + 1);
  }
  for (auto &e : m)
    for (int v : e.second) CHECK(e.first == "key number " + std::to_string(v));
  for (auto &e : u) CHECK((int)e.second->size() == e.first % 300);
}
int main() {
  std::vector<std::thread> t;
  for (unsigned i = 0; i < 4; i++) t.emplace_back(work, i);
  for (auto &x : t) x.join();
  return ok();
}
