// Micro benchmarks on the plain malloc interface.
//
//	micro MODE SIZE MILLISECONDS [THREADS [bound]]     run for so long
//	micro MODE SIZE ops:N                      exactly N operations (for instruction counters)
//
// Prints one JSON object: ns per operation, operations, minor page faults in the timed part, the size of rseq's area
// (0: not registered). What an operation is:
//
//	none      nothing: the loop itself
//	pair      malloc, one byte written, free. SIZE 0: of sizes of 8 B to 1 KiB, each doubling as likely, from a table
//	order     malloc and free of one object; a batch of 10,000 (at most 256 MiB) lives, then is freed in order
//	shuffle   the same, freed in a random order
//	calloc    calloc, one byte read, free
//	aligned   aligned_alloc to 64 bytes, one byte written, free
//	delete    operator new, one byte written, sized operator delete
//	realloc   one growth from 16 B to SIZE by half each, contents checked at the end, free
//	cross     malloc in one thread, free in another; a ring of 1,024 pointers between. SIZE 0: mixed's sizes
//	mixed     replace one of 10,000 live objects of mixed sizes (16 B to 8 KiB, SIZE is not used) by another
//
// The figure of one thread is the process's processor time, an allocator's own threads included: on a busy machine
// the clock on the wall also has what others took.
//
// pair, cross and mixed take THREADS (cross: pairs). Their figure with threads is time * min(threads, cores) /
// operations: the cost to a core. With "bound", the producers run on the first half of the CPUs only, the consumers
// on the other.
#include "common.h"

#include <atomic>
#include <dlfcn.h>
#include <new>
#include <pthread.h>
#include <sched.h>

namespace {

size_t size;
uint64_t budget_ns, fixed_ops;
int threads = 1;
bool bound;

struct Timing {
	uint64_t ops = 0;
	int64_t ns = 0;
	long faults = 0;
};

inline void touch(void *p) { *static_cast<volatile char *>(p) = 1; }

int64_t processor_ns()
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

// Runs chunks of the body, each worth `per_chunk` operations, until time is up or the number is reached. The first
// tenth of the time warms up and is not counted.
template <class Body> Timing timed(uint64_t per_chunk, Body body)
{
	Timing t;
	if (fixed_ops) {
		while (t.ops < fixed_ops) {
			body();
			t.ops += per_chunk;
		}
		return t;
	}
	for (int64_t start = now_ns(); now_ns() - start < int64_t(budget_ns / 10);)
		body();
	t.faults = -minor_faults();
	int64_t start = now_ns(), used = processor_ns();
	do {
		body();
		t.ops += per_chunk;
	} while (now_ns() - start < int64_t(budget_ns));
	t.ns = processor_ns() - used;
	t.faults += minor_faults();
	return t;
}

template <class Op> Timing each(Op op)
{
	uint64_t chunk = size >= 65536 ? 16 : 1000;
	return timed(chunk, [=] {
		for (uint64_t i = 0; i < chunk; i++)
			op();
	});
}

Timing batch(bool shuffled)
{
	size_t n = (256u << 20) / size;
	if (n > 10000)
		n = 10000;
	auto **live = static_cast<void **>(map_pages(n * sizeof(void *)));
	auto *turn = static_cast<uint32_t *>(map_pages(n * sizeof(uint32_t)));
	uint64_t seed = 42;
	for (size_t i = 0; i < n; i++)
		turn[i] = i;
	for (size_t i = n - 1; shuffled && i > 0; i--) {
		size_t j = next_random(&seed) % (i + 1);
		uint32_t t = turn[i];
		turn[i] = turn[j];
		turn[j] = t;
	}
	return timed(n, [=] {
		for (size_t i = 0; i < n; i++) {
			live[i] = malloc(size);
			touch(live[i]);
		}
		for (size_t i = 0; i < n; i++)
			free(live[turn[i]]);
	});
}

void grow()
{
	size_t n = 16, old = 0;
	auto *p = static_cast<unsigned char *>(malloc(n));
	for (;;) {
		for (size_t i = old; i < n; i += 64) // what a vector's push_back writes, one byte per line
			p[i] = static_cast<unsigned char>(i >> 6);
		if (n >= size)
			break;
		old = (n + 63) & ~size_t(63);
		n = n + n / 2 < size ? n + n / 2 : size;
		p = static_cast<unsigned char *>(realloc(p, n));
	}
	for (size_t i = 0; i < n; i += 4096)
		check(p[i] == static_cast<unsigned char>(i >> 6), "realloc lost contents");
	free(p);
}

// Sizes for pairs of mixed ones, drawn beforehand.
enum { SIZES = 4096 };
uint16_t pair_size[SIZES];

void draw_sizes()
{
	uint64_t seed = 11;
	for (auto &s : pair_size) {
		uint64_t r = next_random(&seed);
		size_t base = size_t(8) << r % 7;
		s = uint16_t(base + (r >> 40) % base + 1);
	}
}

inline void one_pair(size_t n)
{
	void *p = malloc(n);
	touch(p);
	free(p);
}

// 16 B to 8 KiB, each power of two half as likely as the one below: mean about 90 B.
inline size_t mixed_size(uint64_t *seed)
{
	uint64_t r = next_random(seed);
	int k = __builtin_ctzll(r | 1ull << 9);
	size_t base = size_t(16) << k;
	return base + (r >> 40) % base;
}

// A ring for one producer and one consumer.
struct Ring {
	enum { N = 1024 };
	alignas(64) std::atomic<uint64_t> head{0};
	alignas(64) std::atomic<uint64_t> tail{0};
	alignas(64) void *slot[N];
	uint64_t seed;
};

std::atomic<bool> stop;
std::atomic<int> ready;
std::atomic<bool> go;
std::atomic<uint64_t> total;

// How long to wait for the other side before letting it have the core.
inline void pause_or_yield(unsigned *spins)
{
	if (++*spins % 256 == 0)
		sched_yield();
	else
		__builtin_ia32_pause();
}

void wait_for_go()
{
	ready++;
	unsigned spins = 0;
	while (!go.load(std::memory_order_acquire))
		pause_or_yield(&spins);
}

void *produce(void *arg)
{
	auto *r = static_cast<Ring *>(arg);
	wait_for_go();
	unsigned spins = 0;
	uint64_t h = 0, seed = r->seed;
	while (!stop.load(std::memory_order_relaxed)) {
		if (h - r->tail.load(std::memory_order_acquire) == Ring::N) {
			pause_or_yield(&spins);
			continue;
		}
		void *p = malloc(size ? size : mixed_size(&seed));
		*static_cast<uint64_t *>(p) = h;
		r->slot[h % Ring::N] = p;
		r->head.store(++h, std::memory_order_release);
	}
	return nullptr;
}

void *consume(void *arg)
{
	auto *r = static_cast<Ring *>(arg);
	wait_for_go();
	unsigned spins = 0;
	uint64_t t = 0;
	for (;;) {
		if (t == r->head.load(std::memory_order_acquire)) {
			if (stop.load(std::memory_order_relaxed))
				break;
			pause_or_yield(&spins);
			continue;
		}
		void *p = r->slot[t % Ring::N];
		check(*static_cast<uint64_t *>(p) == t, "an object changed on its way between threads");
		free(p);
		r->tail.store(++t, std::memory_order_release);
	}
	total += t;
	return nullptr;
}

enum { LIVE = 10000 };

struct Mixed {
	void **live;
	uint64_t seed;

	void step()
	{
		uint64_t r = next_random(&seed);
		void **p = &live[(r >> 32) * LIVE >> 32];
		if (*p) {
			check(**reinterpret_cast<uint64_t **>(p) == reinterpret_cast<uint64_t>(p), "an object's contents changed");
			free(*p);
		}
		*p = malloc(mixed_size(&seed));
		**reinterpret_cast<uint64_t **>(p) = reinterpret_cast<uint64_t>(p);
	}
};

void *mix(void *arg)
{
	Mixed m{static_cast<void **>(map_pages(LIVE * sizeof(void *))), 1000003 * (1 + reinterpret_cast<uint64_t>(arg))};
	for (int i = 0; i < LIVE * 3; i++)
		m.step();
	wait_for_go();
	uint64_t n = 0;
	while (!stop.load(std::memory_order_relaxed)) {
		for (int i = 0; i < 64; i++)
			m.step();
		n += 64;
	}
	total += n;
	for (int i = 0; i < LIVE; i++)
		free(m.live[i]);
	return nullptr;
}

void *pairs(void *)
{
	for (int i = 0; i < SIZES; i++)
		one_pair(size ? size : pair_size[i]);
	wait_for_go();
	uint64_t n = 0;
	while (!stop.load(std::memory_order_relaxed)) {
		for (int i = 0; i < 64; i++)
			one_pair(size ? size : pair_size[(n + i) % SIZES]);
		n += 64;
	}
	total += n;
	return nullptr;
}

// Keeps a thread on one half of the CPUs.
void bind(pthread_t id, int half)
{
	int cores = sysconf(_SC_NPROCESSORS_ONLN), middle = cores / 2;
	cpu_set_t set;
	CPU_ZERO(&set);
	for (int c = half ? middle : 0; c < (half ? cores : middle); c++)
		CPU_SET(c, &set);
	check(cores < 2 || !pthread_setaffinity_np(id, sizeof set, &set), "can't bind a thread");
}

// Runs n threads until the time is up. A thread's argument is its number, or the ring of its pair.
Timing with_threads(int n, void *(*first)(void *), void *(*second)(void *))
{
	auto *id = static_cast<pthread_t *>(map_pages(n * sizeof(pthread_t)));
	Ring *ring = nullptr;
	for (int i = 0; i < n; i++) {
		void *arg = reinterpret_cast<void *>(uint64_t(i));
		if (second != nullptr) {
			if (i % 2 == 0) {
				ring = static_cast<Ring *>(map_pages(sizeof(Ring)));
				ring->seed = 1000003 * (1 + uint64_t(i));
			}
			arg = ring;
		}
		check(!pthread_create(&id[i], nullptr, second != nullptr && i % 2 ? second : first, arg), "pthread_create");
		if (bound)
			bind(id[i], i % 2);
	}
	while (ready != n)
		usleep(1000);
	Timing t;
	t.faults = -minor_faults();
	int64_t (*clock)() = n == 1 ? processor_ns : now_ns;
	int64_t start = clock();
	go.store(true, std::memory_order_release);
	usleep(budget_ns / 1000);
	stop = true;
	t.ns = clock() - start; // the remainder after stop is at most a few operations a thread
	t.faults += minor_faults();
	for (int i = 0; i < n; i++)
		pthread_join(id[i], nullptr);
	t.ops = total;
	int cores = sysconf(_SC_NPROCESSORS_ONLN);
	t.ns *= n < cores ? n : cores;
	return t;
}

Timing run(const char *mode)
{
	auto is = [=](const char *s) { return strcmp(mode, s) == 0; };
	if (is("none"))
		return each([] { asm volatile("" ::: "memory"); });
	if (is("pair") && threads > 1)
		return with_threads(threads, pairs, nullptr);
	if (is("pair") && size == 0)
		return timed(SIZES, [] {
			for (size_t n : pair_size)
				one_pair(n);
		});
	if (is("pair"))
		return each([] { one_pair(size); });
	if (is("order") || is("shuffle"))
		return batch(is("shuffle"));
	if (is("calloc"))
		return each([] {
			void *p = calloc(1, size);
			check(static_cast<volatile char *>(p)[size - 1] == 0, "calloc gave memory that is not zero");
			touch(p);
			free(p);
		});
	if (is("aligned"))
		return each([] {
			void *p = aligned_alloc(64, size);
			check(reinterpret_cast<uintptr_t>(p) % 64 == 0, "aligned_alloc's alignment");
			touch(p);
			free(p);
		});
	if (is("delete"))
		return each([] {
			void *p = ::operator new(size);
			touch(p);
			::operator delete(p, size);
		});
	if (is("realloc"))
		return timed(1, grow);
	if (is("mixed") && fixed_ops) {
		Mixed m{static_cast<void **>(map_pages(LIVE * sizeof(void *))), 7};
		return timed(1, [&] { m.step(); });
	}
	if (is("cross"))
		return with_threads(2 * threads, produce, consume);
	if (is("mixed"))
		return with_threads(threads, mix, nullptr);
	dprintf(2, "micro: no mode %s\n", mode);
	_exit(2);
}

} // namespace

int main(int argc, char **argv)
{
	if (argc < 4) {
		dprintf(2, "usage: micro MODE SIZE MILLISECONDS|ops:N [THREADS]\n");
		return 2;
	}
	size = strtoull(argv[2], nullptr, 0);
	if (strncmp(argv[3], "ops:", 4) == 0)
		fixed_ops = strtoull(argv[3] + 4, nullptr, 0);
	else
		budget_ns = strtoull(argv[3], nullptr, 0) * 1000000;
	if (argc > 4)
		threads = atoi(argv[4]);
	bound = argc > 5 && strcmp(argv[5], "bound") == 0;
	draw_sizes();
	Timing t = run(argv[1]);
	check(t.ops > 0, "no operation in the time");
	// Whether glibc has registered restartable sequences: valgrind does not let it.
	auto *rseq = static_cast<unsigned *>(dlsym(RTLD_DEFAULT, "__rseq_size"));
	dprintf(1, "{\"ns\": %.4f, \"ops\": %llu, \"faults\": %ld, \"rseq\": %u}\n", double(t.ns) / double(t.ops),
		static_cast<unsigned long long>(t.ops), t.faults, rseq ? *rseq : 0);
	return 0;
}
