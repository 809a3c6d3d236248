// A key-value store under a load that changes: a sorted write buffer that is flushed, an LRU cache of decoded blocks,
// and clients whose number rises and falls between 1 and 64 within the run, each a thread of its own: slowly, as
// over a day (the paper's Fig. 5.9a), or in bursts.
//
//	kv OPERATIONS CACHE_MIB [SEED [day|bursts]]
//
// Four of five operations read a key: from the buffer, or from its block, which on a miss is "read" (made from its
// number) as compressed bytes, decoded into one string per entry and put into the cache. One of five writes a
// value of 16 B to 8 KiB. Blocks and values say which they are and are checked on every read. The number of
// operations is fixed, so that every subject does the same work.
#include "common.h"

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

enum { SHARDS = 16, ENTRIES = 32, BLOCKS = 200000, FLUSH = 4 << 20 };

// Value sizes: mostly small, some of several KiB. Drawn from the key, so that a reader knows it.
size_t value_size(uint64_t key)
{
	uint64_t s = key * 0x9e3779b97f4a7c15ull + 99;
	uint64_t r = next_random(&s);
	size_t base = size_t(16) << __builtin_ctzll(r | 1ull << 8);
	return base + (r >> 40) % base;
}

std::string make_value(uint64_t key, uint64_t version)
{
	std::string v(value_size(key), char('a' + key % 26));
	memcpy(&v[0], &key, sizeof key);
	memcpy(&v[8], &version, sizeof version);
	return v;
}

void check_value(const std::string &v, uint64_t key)
{
	uint64_t k;
	memcpy(&k, v.data(), sizeof k);
	check(k == key && v.size() == value_size(key) && (v.size() == 16 || v.back() == char('a' + key % 26)), "a value of another key");
}

struct Block {
	std::vector<std::string> entry;
	size_t bytes = 0;
};

std::shared_ptr<Block> read_block(uint64_t number)
{
	std::string raw; // what a disk would give
	for (int i = 0; i < ENTRIES; i++)
		raw += make_value(number * ENTRIES + i, 0);
	auto b = std::make_shared<Block>();
	const char *p = raw.data();
	for (int i = 0; i < ENTRIES; i++) {
		size_t n = value_size(number * ENTRIES + i);
		b->entry.emplace_back(p, n);
		p += n;
	}
	b->bytes = raw.size();
	return b;
}

class Shard {
public:
	size_t capacity = 0;

	std::string get(uint64_t key)
	{
		std::unique_lock<std::mutex> l(mu);
		auto w = buffer.find(key);
		if (w != buffer.end())
			return w->second;
		uint64_t number = key / ENTRIES;
		auto c = cache.find(number);
		if (c != cache.end()) {
			order.splice(order.begin(), order, c->second);
			auto b = c->second->second; // entries are read outside the lock
			l.unlock();
			return b->entry[key % ENTRIES];
		}
		l.unlock();
		auto b = read_block(number);
		std::string v = b->entry[key % ENTRIES];
		l.lock();
		if (cache.count(number) == 0) {
			order.emplace_front(number, b);
			cache[number] = order.begin();
			cached += b->bytes;
			while (cached > capacity) {
				cached -= order.back().second->bytes;
				cache.erase(order.back().first);
				order.pop_back();
			}
		}
		return v;
	}

	void put(uint64_t key, std::string v)
	{
		std::lock_guard<std::mutex> l(mu);
		buffered += v.size();
		buffer[key] = std::move(v);
		if (buffered > FLUSH / SHARDS) { // a flush: the table is written out, which we leave to the imagination
			buffer.clear();
			buffered = 0;
		}
	}

	size_t held()
	{
		std::lock_guard<std::mutex> l(mu);
		size_t n = cached;
		for (auto &[k, v] : buffer)
			n += v.size();
		return n;
	}

private:
	std::mutex mu;
	std::map<uint64_t, std::string> buffer;
	size_t buffered = 0;
	std::list<std::pair<uint64_t, std::shared_ptr<Block>>> order;
	std::unordered_map<uint64_t, decltype(order)::iterator> cache;
	size_t cached = 0;
};

Shard shard[SHARDS];

void client(uint64_t seed, uint64_t operations)
{
	for (uint64_t i = 0; i < operations; i++) {
		uint64_t r = next_random(&seed);
		// Skewed: the product of two uniforms favours low blocks.
		uint64_t block = uint64_t(BLOCKS * next_unit(&seed) * next_unit(&seed));
		uint64_t key = block * ENTRIES + (r >> 33) % ENTRIES;
		Shard &s = shard[block % SHARDS];
		if (r % 5 == 0)
			s.put(key, make_value(key, i));
		else
			check_value(s.get(key), key);
	}
}

} // namespace

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: kv OPERATIONS CACHE_MIB [SEED [day|bursts]]\n");
		return 2;
	}
	uint64_t operations = strtoull(argv[1], nullptr, 0), seed = argc > 3 ? strtoull(argv[3], nullptr, 0) : 1;
	for (auto &s : shard)
		s.capacity = (strtoull(argv[2], nullptr, 0) << 20) / SHARDS;
	// How many clients there are, each part with the same number of operations.
	const std::vector<int> day = {1, 2, 8, 24, 64, 48, 32, 40, 16, 4, 2, 1};
	const std::vector<int> bursts = {1, 64, 1, 1, 2, 64, 64, 1, 48, 1, 1, 64, 2, 1, 1, 64, 4, 1, 56, 1, 1, 64, 1, 1};
	const std::vector<int> &load = argc > 4 && strcmp(argv[4], "bursts") == 0 ? bursts : day;
	const int parts = int(load.size());
	double waste = 0;
	const int64_t from = now_ns();
	for (int p = 0; p < parts; p++) {
		std::vector<std::thread> clients;
		for (int i = 0; i < load[p]; i++)
			clients.emplace_back(client, seed * 1000003 + p * 64 + i + 1, operations / parts / load[p]);
		for (auto &c : clients)
			c.join();
		double held = 0;
		for (auto &s : shard)
			held += s.held();
		waste += 1 - held / rollup("Anonymous:");
	}
	const int64_t to = now_ns();
	printf("{\"throughput\": %.6g, \"operations\": %llu, \"waste\": %.4f, " SPAN "}\n", double(operations) * 1e9 / double(to - from),
		(unsigned long long)operations, 100 * waste / parts, (long long)from, (long long)to);
	return 0;
}
