// Producers and consumers on bound threads, in bursts larger than what a per-CPU cache holds.
//
//	domains within|across SECONDS PAIRS
//
// Pair i is a thread that allocates and one that frees, with a ring of 4,096 pointers between. within: both are
// bound to the same CPU, pairs alternately to each CPU: what one CPU frees can be allocated there. across: the
// producer is bound to one CPU and the consumer to the next, half of the pairs in one direction and half in the
// other. Objects are of 16 B to 8 KiB, each power of two half as likely as the one below; each is written by the
// producer and checked by the consumer. Prints operations (an allocation and a free) a second.
#include "common.h"

#include <atomic>
#include <pthread.h>
#include <sched.h>

namespace {

struct Ring {
	enum { N = 4096 };
	alignas(64) std::atomic<uint64_t> head{0};
	alignas(64) std::atomic<uint64_t> tail{0};
	alignas(64) void *slot[N];
};

std::atomic<bool> stop;
std::atomic<uint64_t> total;

struct Worker {
	Ring *ring;
	int cpu;
	uint64_t seed;
	pthread_t id;
};

void bind_to(int cpu)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof one, &one);
}

size_t mixed_size(uint64_t *seed)
{
	uint64_t r = next_random(seed);
	int k = __builtin_ctzll(r | 1ull << 9);
	size_t base = size_t(16) << k;
	return base + (r >> 40) % base;
}

// A burst ends when the ring is full, or empty: then the other side has its turn.
void *produce(void *arg)
{
	auto *w = static_cast<Worker *>(arg);
	bind_to(w->cpu);
	uint64_t h = 0;
	while (!stop.load(std::memory_order_relaxed)) {
		if (h - w->ring->tail.load(std::memory_order_acquire) == Ring::N) {
			sched_yield();
			continue;
		}
		void *p = malloc(mixed_size(&w->seed));
		*static_cast<uint64_t *>(p) = h;
		w->ring->slot[h % Ring::N] = p;
		w->ring->head.store(++h, std::memory_order_release);
	}
	return nullptr;
}

void *consume(void *arg)
{
	auto *w = static_cast<Worker *>(arg);
	bind_to(w->cpu);
	uint64_t t = 0;
	for (;;) {
		uint64_t h = w->ring->head.load(std::memory_order_acquire);
		if (t == h) {
			if (stop.load(std::memory_order_relaxed))
				break;
			sched_yield();
			continue;
		}
		for (; t < h; t++) {
			void *p = w->ring->slot[t % Ring::N];
			check(*static_cast<uint64_t *>(p) == t, "an object changed on its way between threads");
			free(p);
		}
		w->ring->tail.store(t, std::memory_order_release);
	}
	total += t;
	return nullptr;
}

} // namespace

int main(int argc, char **argv)
{
	if (argc < 4) {
		dprintf(2, "usage: domains within|across SECONDS PAIRS\n");
		return 2;
	}
	bool across = strcmp(argv[1], "across") == 0;
	double seconds = atof(argv[2]);
	int pairs = atoi(argv[3]);
	cpu_set_t all;
	sched_getaffinity(0, sizeof all, &all);
	int cpu[CPU_SETSIZE], cpus = 0;
	for (int c = 0; c < CPU_SETSIZE; c++)
		if (CPU_ISSET(c, &all))
			cpu[cpus++] = c;
	auto *w = static_cast<Worker *>(map_pages(2 * pairs * sizeof(Worker)));
	int64_t start = now_ns();
	for (int i = 0; i < 2 * pairs; i++) {
		int pair = i / 2;
		w[i].ring = i % 2 ? w[i - 1].ring : static_cast<Ring *>(map_pages(sizeof(Ring)));
		w[i].cpu = cpu[(pair + (across ? i % 2 : 0)) % cpus];
		w[i].seed = 1000003 * uint64_t(1 + i);
		check(!pthread_create(&w[i].id, nullptr, i % 2 ? consume : produce, &w[i]), "pthread_create");
	}
	usleep(useconds_t(seconds * 1e6));
	stop = true;
	for (int i = 0; i < 2 * pairs; i++)
		pthread_join(w[i].id, nullptr);
	double took = (now_ns() - start) / 1e9;
	dprintf(1, "{\"throughput\": %.1f}\n", double(total) / took);
	return 0;
}
