// A service whose load falls: sessions that hold objects of many sizes, nine tenths of which end at once.
//
//	fall MIB THREADS WORK SECONDS[,SECONDS...] [SEED [SWING]]
//
// Each thread owns sessions of about 64 KiB in objects of 16 B to 32 KiB, MIB in all. It works on them at full speed
// for WORK milliseconds, or with "1000ops" for so many operations in all: it ends a random session and begins another, so that the heap looks like that of a process that has
// been up for a while. That is the throughput. With SWING what it holds falls to three tenths and rises to MIB again in
// so many operations, meanwhile. Then the load falls: nine tenths of the sessions end, in random
// order, and the work goes on in one of ten milliseconds. Anonymous memory is looked at after so many seconds,
// while the load is low, and beside it what an operation costs then, of the thread's own processor time. At the
// end the load returns: the sessions are begun anew, and the time of that is taken. Objects say whose they are, and
// are checked when they are freed.
#include "common.h"

#include <atomic>
#include <cmath>
#include <memory>
#include <thread>
#include <vector>

namespace {

enum { OBJECTS = 128 }; // of a session

struct Session {
	uint64_t id;
	uint32_t *object[OBJECTS];
};

// 16 B to 32 KiB, each power of two half as likely as the one below, but for the largest ones, which have half of
// the bytes: as in the paper's Fig. 5.7.
size_t object_size(uint64_t *seed)
{
	uint64_t r = next_random(seed);
	if (r % 64 == 0)
		return 8192 + (r >> 32) % 24576;
	size_t base = size_t(16) << __builtin_ctzll(r >> 6 | 1ull << 8);
	return base + (r >> 40) % base;
}

class Worker {
public:
	Worker(uint64_t seed) : seed(seed) {}

	void grow(size_t bytes)
	{
		while (held < bytes)
			begin();
	}

	// One operation: a session ends and another begins.
	void step()
	{
		end(next_random(&seed) % sessions.size());
		begin();
	}

	// One operation of a load that swings: what is held goes towards the target.
	void towards(size_t target)
	{
		while (held > target && sessions.size() > 1)
			end(next_random(&seed) % sessions.size());
		begin();
	}

	void fall()
	{
		for (size_t keep = sessions.size() / 10; sessions.size() > keep;)
			end(next_random(&seed) % sessions.size());
	}

	size_t held = 0;

private:
	void begin()
	{
		auto s = std::make_unique<Session>();
		s->id = ++last;
		for (auto &o : s->object) {
			size_t n = object_size(&seed);
			o = static_cast<uint32_t *>(malloc(n));
			check(o != nullptr, "malloc failed");
			memset(o, int(s->id), n);
			o[0] = uint32_t(n);
			o[1] = uint32_t(s->id);
			held += n;
		}
		sessions.push_back(std::move(s));
	}

	void end(size_t i)
	{
		std::swap(sessions[i], sessions.back());
		Session *s = sessions.back().get();
		for (auto o : s->object) {
			check(o[1] == uint32_t(s->id) && reinterpret_cast<unsigned char *>(o)[o[0] - 1] == static_cast<unsigned char>(s->id), "an object of another session");
			held -= o[0];
			free(o);
		}
		sessions.pop_back();
	}

	uint64_t seed, last = 0;
	std::vector<std::unique_ptr<Session>> sessions;
};

int64_t thread_ns()
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

std::vector<std::unique_ptr<Worker>> workers;

// Runs f for every worker, each in a thread, and returns the sum.
template <class F> double in_threads(F f)
{
	std::vector<std::thread> threads;
	std::vector<double> result(workers.size());
	for (size_t i = 0; i < workers.size(); i++)
		threads.emplace_back([&, i] { result[i] = f(*workers[i]); });
	double sum = 0;
	for (size_t i = 0; i < threads.size(); i++) {
		threads[i].join();
		sum += result[i];
	}
	return sum;
}

double held()
{
	double n = 0;
	for (auto &w : workers)
		n += double(w->held);
	return n;
}

} // namespace

int main(int argc, char **argv)
{
	if (argc < 5) {
		fprintf(stderr, "usage: fall MIB THREADS WORK SECONDS[,SECONDS...] [SEED [SWING]]\n");
		return 2;
	}
	size_t each = (strtoull(argv[1], nullptr, 0) << 20) / strtoull(argv[2], nullptr, 0);
	uint64_t seed = argc > 5 ? strtoull(argv[5], nullptr, 0) : 1;
	double threads = strtod(argv[2], nullptr);
	bool counted = strstr(argv[3], "ops") != nullptr;
	int64_t work = strtoll(argv[3], nullptr, 0) * 1000000;
	double operations = counted ? strtod(argv[3], nullptr) / threads : 0; // of each thread
	double swing = argc > 6 ? strtod(argv[6], nullptr) / threads : 0;
	for (int i = 0; i < atoi(argv[2]); i++)
		workers.push_back(std::make_unique<Worker>(1000003 * (seed + i)));

	in_threads([&](Worker &w) { return w.grow(each), 0.0; });
	const int64_t from = now_ns();
	double full = in_threads([&](Worker &w) {
		double n = 0;
		for (; counted ? n < operations : now_ns() - from < work; n++) {
			if (swing == 0) {
				w.step();
				continue;
			}
			double phase = n / swing - floor(n / swing), level = fabs(1 - 2 * phase); // down, and up again
			w.towards(size_t((0.3 + 0.7 * level) * double(each)));
		}
		return n;
	});
	const int64_t to = now_ns();
	double top = rollup("Anonymous:"), top_held = held();
	printf("{\"throughput\": %.6g, \"full\": %.0f, \"waste\": %.4f, " SPAN, full * 1e9 / double(to - from), top, 100 * (1 - top_held / top),
		(long long)from, (long long)to);

	in_threads([](Worker &w) { return w.fall(), 0.0; });
	// The load is low from here on: workers work 1 ms of every 10.
	std::atomic<bool> stop{false};
	std::atomic<int64_t> low_processor{0};
	double low = 0;
	std::thread others([&] {
		low = in_threads([&](Worker &w) {
			int64_t before = thread_ns();
			double n = 0;
			while (!stop) {
				for (int64_t until = now_ns() + 1000000; now_ns() < until; n++)
					w.step();
				usleep(9000);
			}
			low_processor += thread_ns() - before;
			return n;
		});
	});
	int64_t t = now_ns();
	char *p = argv[4];
	for (int i = 0; *p; i++) {
		double at = strtod(p, &p);
		p += *p == ',';
		while (double(now_ns() - t) < at * 1e9)
			usleep(1000);
		printf(", \"resident %d\": %.0f", i, rollup("Anonymous:"));
	}
	stop = true;
	others.join();
	printf(", \"held\": %.0f, \"low ns\": %.6g", held(), double(low_processor) / low);

	t = now_ns();
	in_threads([&](Worker &w) { return w.grow(each), 0.0; });
	printf(", \"return ms\": %.6g}\n", double(now_ns() - t) / 1e6);
	fflush(stdout);
	workers.clear();
	return 0;
}
