// What TestCxx runs: exceptions and many threads. Every count it prints is known to the test; what it
// can't know (who did what when) is checked here, and the first failure ends the program with status 1.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);     \
      std::_Exit(1);                                                           \
    }                                                                          \
  } while (0)

constexpr int kThreads = 64;

// An exception that owns heap memory of a size of its own.
struct Failure : std::runtime_error {
  Failure(int depth, std::string what)
      : std::runtime_error(std::move(what)), payload(100 + depth * 37, depth) {}
  std::vector<int> payload;
};

// Objects whose constructor fails half way: what was made before must be destroyed and freed.
static std::atomic<int> alive{0};
struct Member {
  explicit Member(int n) : data(new char[n]) {
    std::memset(data.get(), n & 0xff, n);
    alive++;
  }
  ~Member() { alive--; }
  std::unique_ptr<char[]> data;
};
struct Halfway {
  explicit Halfway(int n) : a(n + 1), b(n + 2), c(check(n)) {}
  static int check(int n) {
    if (n % 3 == 0) throw Failure(n % 10, "half way at " + std::to_string(n));
    return n + 3;
  }
  Member a, b, c;
};

static int descend(int depth, std::string path) {
  std::vector<std::string> local(depth % 5 + 1, path + "/frame");
  if (depth == 0) throw Failure(static_cast<int>(path.size() % 20), path);
  try {
    return descend(depth - 1, path + "." + std::to_string(depth)) + static_cast<int>(local.size());
  } catch (const std::logic_error &) {
    CHECK(false);
  }
  return 0;
}

static long exceptions(int seed) {
  long caught = 0;
  for (int i = 0; i < 300; i++) {
    try {
      descend(10 + (seed + i) % 20, "root");
    } catch (const Failure &f) {
      CHECK(f.payload.size() >= 100);
      CHECK(std::string(f.what()).rfind("root.", 0) == 0);
      caught++;
    }
    try {
      auto h = std::make_unique<Halfway>(seed * 1000 + i);
      CHECK(h->c.data[0] == static_cast<char>(seed * 1000 + i + 3));
    } catch (const Failure &) {
      caught++;
    }
    try {
      try {
        throw std::out_of_range("inner " + std::to_string(i));
      } catch (...) {
        std::throw_with_nested(Failure(i % 7, "outer"));
      }
    } catch (const Failure &outer) {
      try {
        std::rethrow_if_nested(outer);
        CHECK(false);
      } catch (const std::out_of_range &inner) {
        CHECK(inner.what() == "inner " + std::to_string(i));
        caught++;
      }
    }
  }
  return caught;
}

// A queue that hands strings and exceptions from thread to thread: freed elsewhere than allocated.
template <class T> class Channel {
public:
  void send(T v) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return items_.size() < 256; });
    items_.push_back(std::move(v));
    changed_.notify_all();
  }
  T receive() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !items_.empty(); });
    T v = std::move(items_.front());
    items_.pop_front();
    changed_.notify_all();
    return v;
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> items_;
};

struct Message {
  std::string text;
  std::shared_ptr<std::vector<int>> shared;
  std::exception_ptr failure;
};

static long messages() {
  constexpr int kPairs = 8, kEach = 4000;
  Channel<Message> channel;
  std::vector<std::thread> threads;
  std::atomic<long> bytes{0}, failures{0}, numbers{0};
  for (int p = 0; p < kPairs; p++) {
    threads.emplace_back([&, p] {
      auto shared = std::make_shared<std::vector<int>>(50, p);
      for (int i = 0; i < kEach; i++) {
        Message m{std::string(i % 700, static_cast<char>('a' + i % 26)), shared, nullptr};
        if (i % 4 == 0) m.failure = std::make_exception_ptr(Failure(i % 9, "sent"));
        if (i % 100 == 0) shared = std::make_shared<std::vector<int>>(50, p);
        channel.send(std::move(m));
      }
    });
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; i++) {
        Message m = channel.receive();
        CHECK(m.text.find_first_not_of(m.text.empty() ? 'a' : m.text[0]) == std::string::npos);
        bytes += m.text.size();
        numbers += (*m.shared)[49];
        try {
          if (m.failure) std::rethrow_exception(m.failure);
        } catch (const Failure &f) {
          CHECK(std::strcmp(f.what(), "sent") == 0);
          failures++;
        }
      }
    });
  }
  for (auto &t : threads) t.join();
  std::printf("messages %ld failures %ld numbers %ld\n", bytes.load(), failures.load(), numbers.load());
  return failures;
}

// Containers of every kind, by many threads, against a sum known beforehand.
static std::uint64_t containers(int seed) {
  std::mt19937 random(seed);
  std::map<int, std::string> ordered;
  std::unordered_map<std::string, std::vector<int>> hashed;
  std::uint64_t sum = 0;
  for (int i = 0; i < 3000; i++) {
    ordered[i] = std::string(random() % 300, 'x');
    hashed["key" + std::to_string(i % 500)].push_back(i);
    if (i % 3 == 0) ordered.erase(i / 2);
  }
  for (auto &[key, values] : hashed) {
    CHECK(std::is_sorted(values.begin(), values.end()));
    for (int v : values) sum += v;
  }
  CHECK(ordered.size() == 2000);
  return sum;
}

struct alignas(256) Wide {
  char data[512];
};

static void limits() {
  int refused = 0;
  for (std::size_t size : {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX - 4096}) {
    try {
      volatile std::size_t n = size;
      char *p = new char[n];
      p[0] = 1;
      delete[] p;
    } catch (const std::bad_alloc &) {
      refused++;
    }
    volatile std::size_t n = size;
    void *p = ::operator new(n, std::nothrow);
    CHECK(p == nullptr);
    refused++;
  }
  static int handled;
  handled = 0;
  std::set_new_handler([] {
    if (++handled == 3) std::set_new_handler(nullptr);
  });
  try {
    volatile std::size_t n = SIZE_MAX / 2;
    ::operator delete(::operator new(n));
  } catch (const std::bad_alloc &) {
    refused++;
  }
  int aligned = 0;
  std::vector<std::unique_ptr<Wide>> wides;
  for (int i = 0; i < 1000; i++) {
    wides.push_back(std::make_unique<Wide>());
    aligned += reinterpret_cast<std::uintptr_t>(wides.back().get()) % 256 == 0;
  }
  std::printf("refused %d handler %d aligned %d\n", refused, handled, aligned);
}

struct AtExit {
  std::vector<std::string> *kept = nullptr;
  ~AtExit() { delete kept; }
};
thread_local AtExit at_exit;

int main() {
  std::vector<std::thread> threads;
  std::atomic<long> caught{0};
  std::atomic<std::uint64_t> sum{0};
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      at_exit.kept = new std::vector<std::string>(100, std::string(t + 20, 'k'));
      caught += exceptions(t);
      sum += containers(t);
    });
  }
  for (auto &t : threads) t.join();
  std::printf("exceptions %ld alive %d containers %llu\n", caught.load(), alive.load(),
              static_cast<unsigned long long>(sum.load()));
  messages();
  limits();

  // Threads that live shortly, each leaving its memory to others.
  long total = 0;
  std::vector<std::unique_ptr<std::string>> left;
  std::mutex mutex;
  for (int round = 0; round < 50; round++) {
    std::vector<std::future<long>> futures;
    for (int i = 0; i < 20; i++) {
      futures.push_back(std::async(std::launch::async, [&, i]() -> long {
        auto s = std::make_unique<std::string>(i * 1000, 's');
        long n = static_cast<long>(s->size());
        {
          std::lock_guard lock(mutex);
          left.push_back(std::move(s));
        }
        if (i == 19) throw Failure(i, "from a task");
        return n;
      }));
    }
    for (auto &f : futures) {
      try {
        total += f.get();
      } catch (const Failure &) {
        total += 1;
      }
    }
    if (round % 10 == 9) left.clear();
  }
  std::printf("tasks %ld left %zu\n", total, left.size());
  return 0;
}
