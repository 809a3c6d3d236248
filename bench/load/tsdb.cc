// A time-series store: samples appended to many series, compressed in chunks that grow, cut into blocks and
// dropped after their time; series that come and go; range queries beside it.
//
//	tsdb STEPS SERIES THREADS [SEED]
//
// One step is one sample for every series. A series has labels (a map of short strings), a chunk being written
// (a buffer that grows by realloc, as such stores do) and closed chunks, kept for a number of steps. Every query
// decodes one series into a vector and checks the samples.
#include "common.h"

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

enum { CHUNK_SAMPLES = 120, KEPT_CHUNKS = 4, CHURN = 997 };

// Bytes that grow as a C program lets them.
struct Buffer {
	unsigned char *p = nullptr;
	size_t len = 0, cap = 0;

	Buffer() = default;
	Buffer(const Buffer &) = delete;
	Buffer &operator=(const Buffer &) = delete;
	~Buffer() { free(p); }

	void byte(unsigned char b)
	{
		if (len == cap) {
			cap = cap ? cap + cap / 2 : 32;
			p = static_cast<unsigned char *>(realloc(p, cap));
		}
		p[len++] = b;
	}
	void number(uint64_t v)
	{
		for (; v >= 0x80; v >>= 7)
			byte(static_cast<unsigned char>(v | 0x80));
		byte(static_cast<unsigned char>(v));
	}
};

uint64_t sample(uint64_t series, uint64_t step)
{
	uint64_t s = series * 1000003 + step + 1;
	return next_random(&s) >> (40 + series % 20); // some series are noisy, some nearly flat
}

struct Series {
	uint64_t id, begin;
	std::map<std::string, std::string> labels;
	std::unique_ptr<Buffer> open = std::make_unique<Buffer>();
	std::deque<std::unique_ptr<Buffer>> closed;
	uint64_t closed_from; // step of the first closed chunk
	uint64_t next;

	Series(uint64_t id, uint64_t step) : id(id), begin(step), closed_from(step), next(step)
	{
		labels["__name__"] = "metric_of_the_service_number_" + std::to_string(id % 200);
		labels["instance"] = "10.0." + std::to_string(id % 256) + "." + std::to_string(id / 256 % 256) + ":9100";
		labels["job"] = "job" + std::to_string(id % 17);
		labels["pod"] = "pod-" + std::to_string(id * 2654435761u % 100000) + "-" + std::to_string(step);
	}
	void append(uint64_t step)
	{
		open->number(sample(id, step));
		next = step + 1;
		if ((next - begin) % CHUNK_SAMPLES != 0)
			return;
		auto exact = std::make_unique<Buffer>(); // closed chunks are kept at their size
		exact->p = static_cast<unsigned char *>(malloc(open->len));
		exact->len = exact->cap = open->len;
		memcpy(exact->p, open->p, open->len);
		closed.push_back(std::move(exact));
		open = std::make_unique<Buffer>();
		if (closed.size() > KEPT_CHUNKS) {
			closed.pop_front();
			closed_from += CHUNK_SAMPLES;
		}
	}
	void query() const
	{
		std::vector<uint64_t> out;
		for (auto &c : closed)
			decode(*c, &out);
		decode(*open, &out);
		check(out.size() == next - closed_from, "samples are missing");
		for (size_t i = 0; i < out.size(); i++)
			check(out[i] == sample(id, closed_from + i), "a sample changed");
	}
	static void decode(const Buffer &b, std::vector<uint64_t> *out)
	{
		uint64_t v = 0;
		int shift = 0;
		for (size_t i = 0; i < b.len; i++) {
			v |= uint64_t(b.p[i] & 0x7f) << shift;
			shift += 7;
			if (b.p[i] < 0x80) {
				out->push_back(v);
				v = shift = 0;
			}
		}
	}
	size_t held() const
	{
		size_t n = open->cap;
		for (auto &c : closed)
			n += c->cap;
		for (auto &[k, v] : labels)
			n += k.size() + v.size() + 96; // a node and two strings
		return n;
	}
};

struct Result {
	double waste = 0;
	size_t held = 0;
};

void work(uint64_t steps, uint64_t series, uint64_t seed, Result *r)
{
	std::vector<std::unique_ptr<Series>> all;
	uint64_t id = seed * 10000000;
	for (uint64_t i = 0; i < series; i++)
		all.push_back(std::make_unique<Series>(id++, 0));
	for (uint64_t step = 0; step < steps; step++) {
		for (auto &s : all)
			s->append(step);
		for (uint64_t i = 0; i < series / 50 + 1; i++)
			all[next_random(&seed) % series]->query();
		for (uint64_t i = 0; i < series / CHURN + 1; i++) // a service is deployed anew
			all[next_random(&seed) % series] = std::make_unique<Series>(id++, step + 1);
	}
	for (auto &s : all)
		r->held += s->held();
	// Kept until the process ends: the caller looks at the memory.
	new std::vector<std::unique_ptr<Series>>(std::move(all));
}

} // namespace

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: tsdb STEPS SERIES THREADS [SEED]\n");
		return 2;
	}
	uint64_t steps = strtoull(argv[1], nullptr, 0), series = strtoull(argv[2], nullptr, 0), threads = strtoull(argv[3], nullptr, 0);
	uint64_t seed = argc > 4 ? strtoull(argv[4], nullptr, 0) : 1;
	const int64_t from = now_ns();
	std::vector<std::thread> workers;
	std::vector<Result> result(threads);
	for (uint64_t i = 0; i < threads; i++)
		workers.emplace_back(work, steps, series / threads, seed + i, &result[i]);
	for (auto &w : workers)
		w.join();
	const int64_t to = now_ns();
	double held = 0;
	for (auto &r : result)
		held += r.held;
	printf("{\"throughput\": %.6g, \"waste\": %.4f, " SPAN "}\n", double(steps * series) * 1e9 / double(to - from),
		100 * (1 - held / rollup("Anonymous:")), (long long)from, (long long)to);
	return 0;
}
