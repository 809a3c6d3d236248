// Replays a trace: every thread of it is a thread here and makes its allocations and frees in their order.
//
//	replay TRACE
//
// As fast as the allocator lets it: times between events are not kept, their order is. The events of a slot happen
// in the order of the trace, whichever threads they belong to, and no thread runs further ahead of the slowest than
// a window of events. Objects are written (whole up to 4 KiB, then a byte per page), tagged with their slot,
// and the tag is checked when they are freed. While the trace runs, the main thread samples the bytes asked for
// that are live, against the growth of anonymous memory, at most 250 times: by events, not by time, or how fast the
// machine is at a moment would weigh.
#include "common.h"
#include "trace.h"

#include <atomic>
#include <pthread.h>
#include <sched.h>

namespace {

enum { WINDOW = 50000, STRIDE = 64, MOST_THREADS = 4096, LOOKS = 250, LOOK = 20000 };

const trace_header *head;
const event *events;
uint32_t *turn;       // of each event among those of its slot

struct Slot {
	std::atomic<uint32_t> done; // events that have happened
	void *object;
	uint64_t size;
};
Slot *slot;
uint32_t *order;      // indexes of events, by thread
uint64_t *begin_of;   // of each thread's part of order; threads + 1
std::atomic<uint64_t> *position; // where each thread is, as an index of events; ~0 when it has ended

struct alignas(64) Live {
	std::atomic<int64_t> bytes{0};
};
Live live[MOST_THREADS];

std::atomic<uint64_t> slowest_seen;

uint64_t slowest()
{
	uint64_t least = ~0ull;
	for (uint32_t i = 0; i < head->threads; i++) {
		uint64_t p = position[i].load(std::memory_order_relaxed);
		least = p < least ? p : least;
	}
	slowest_seen.store(least, std::memory_order_relaxed);
	return least;
}

// Threads are many and CPUs few: one that has to wait for long sleeps, or the waiting ones would spend most of the time
// on yielding to each other, and the figure would be the scheduler's.
inline void wait_a_little(unsigned *spins)
{
	if (++*spins % 64 != 0)
		__builtin_ia32_pause();
	else if (*spins <= 128)
		sched_yield();
	else
		usleep(20);
}

void *run(void *arg)
{
	uint32_t me = uint32_t(uintptr_t(arg));
	int64_t held = 0;
	for (uint64_t i = begin_of[me]; i < begin_of[me + 1]; i++) {
		uint32_t at = order[i];
		const event &e = events[at];
		unsigned spins = 0;
		if (i % STRIDE == 0) {
			position[me].store(at, std::memory_order_relaxed);
			live[me].bytes.store(held, std::memory_order_relaxed);
			if (at > slowest_seen.load(std::memory_order_relaxed) + WINDOW)
				while (at > slowest() + WINDOW)
					wait_a_little(&spins);
		}
		Slot &s = slot[e.slot];
		if (s.done.load(std::memory_order_acquire) != turn[at]) {
			position[me].store(at, std::memory_order_relaxed);
			while (s.done.load(std::memory_order_acquire) != turn[at])
				wait_a_little(&spins);
		}
		if (e.op == OP_ALLOC) {
			void *p = e.align > 4 ? aligned_alloc(size_t(1) << e.align, (e.size + (size_t(1) << e.align) - 1) >> e.align << e.align) : malloc(e.size);
			check(p != nullptr, "malloc failed");
			memset(p, 0x5a, e.size < 4096 ? e.size : 4096);
			for (size_t k = 4096; k < e.size; k += 4096)
				static_cast<char *>(p)[k] = 1;
			if (e.size >= sizeof(uint32_t))
				*static_cast<uint32_t *>(p) = e.slot;
			s.object = p;
			s.size = e.size;
			held += int64_t(e.size);
		} else {
			check(s.size < sizeof(uint32_t) || *static_cast<uint32_t *>(s.object) == e.slot, "an object's contents changed");
			held -= int64_t(s.size);
			free(s.object);
		}
		s.done.store(turn[at] + 1, std::memory_order_release);
	}
	live[me].bytes.store(held, std::memory_order_relaxed);
	position[me].store(~0ull, std::memory_order_release);
	return nullptr;
}

double live_bytes()
{
	int64_t n = 0;
	for (uint32_t i = 0; i < head->threads; i++)
		n += live[i].bytes.load(std::memory_order_relaxed);
	return double(n);
}

void load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd >= 0, "can't open the trace");
	size_t n = size_t(lseek(fd, 0, SEEK_END));
	void *p = mmap(nullptr, n, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	check(p != MAP_FAILED, "can't map the trace");
	close(fd);
	head = static_cast<const trace_header *>(p);
	check(n >= sizeof *head && memcmp(head->magic, "VCTRACE1", 8) == 0 && n == sizeof *head + head->events * sizeof(event), "not a trace");
	check(head->threads <= MOST_THREADS && head->events < ~0u, "too large a trace");
	events = reinterpret_cast<const event *>(head + 1);
	slot = static_cast<Slot *>(map_pages(head->slots * sizeof *slot + 4096));
	turn = static_cast<uint32_t *>(map_pages(head->events * sizeof *turn + 4096));
	order = static_cast<uint32_t *>(map_pages(head->events * sizeof *order + 4096));
	begin_of = static_cast<uint64_t *>(map_pages((head->threads + 2) * sizeof *begin_of));
	position = static_cast<std::atomic<uint64_t> *>(map_pages((head->threads + 1) * sizeof *position));
	for (uint64_t i = 0; i < head->events; i++) {
		check(events[i].thread < head->threads && events[i].slot < head->slots, "not a trace");
		begin_of[events[i].thread + 2]++;
	}
	for (uint32_t i = 1; i <= head->threads; i++)
		begin_of[i + 1] += begin_of[i];
	for (uint64_t i = 0; i < head->events; i++)
		order[begin_of[events[i].thread + 1]++] = uint32_t(i);
	// This also touches all of the tables' pages before the first look at memory.
	for (uint64_t i = 0; i < head->events; i++)
		turn[i] = slot[events[i].slot].done++;
	for (uint32_t i = 0; i < head->slots; i++)
		slot[i].done = 0;
}

} // namespace

int main(int argc, char **argv)
{
	if (argc != 2) {
		dprintf(2, "usage: replay TRACE\n");
		return 2;
	}
	load(argv[1]);
	auto *id = static_cast<pthread_t *>(map_pages(head->threads * sizeof(pthread_t) + 4096));
	for (uint32_t i = 0; i < head->threads; i++)
		position[i] = begin_of[i] < begin_of[i + 1] ? order[begin_of[i]] : ~0ull;
	double base = rollup("Anonymous:"), waste = 0, peak = 0, sum = 0;
	int looks = 0;
	uint64_t next_look = 0;
	const int64_t start = now_ns();
	// Threads are numbered by their first event: each starts when the others come near it.
	uint32_t started = 0;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (;;) {
		uint64_t least = slowest();
		while (started < head->threads && (position[started] == ~0ull || position[started] <= least + WINDOW / 2)) {
			check(!pthread_create(&id[started], &attr, run, reinterpret_cast<void *>(uintptr_t(started))), "pthread_create");
			started++;
		}
		if (least == ~0ull)
			break;
		if (least >= next_look) {
			double grown = rollup("Anonymous:") - base, asked = live_bytes();
			if (asked > 1 << 20 && grown > asked / 2) {
				waste += 1 - asked / grown;
				sum += grown;
				looks++;
			}
			peak = grown > peak ? grown : peak;
			next_look = least + (head->events / LOOKS > LOOK ? head->events / LOOKS : LOOK);
		}
		usleep(1000);
	}
	const int64_t end = now_ns();
	for (uint32_t i = 0; i < head->threads; i++)
		pthread_join(id[i], nullptr);
	dprintf(1, "{\"throughput\": %.6g, \"events\": %llu, \"threads\": %u, \"waste\": %.4f, \"heap\": %.0f, \"mean\": %.0f, " SPAN "}\n", double(head->events) * 1e9 / double(end - start),
		static_cast<unsigned long long>(head->events), head->threads, looks ? 100 * waste / looks : 0, peak, looks ? sum / looks : 0,
		static_cast<long long>(start), static_cast<long long>(end));
	return 0;
}
