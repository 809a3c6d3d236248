// The data pipeline: words of a text file counted in one process.
//
//	pipeline gen FILE WORDS [SEED]   writes the text, and what is in it to FILE.sum
//	pipeline count FILE THREADS      counts it and compares
//
// The text's words follow Zipf's law over a vocabulary of a million, of 3 to 22 letters, 9 on average, so that 100
// million are about 1 GB, as in the paper (one in eight is past 15 letters, does not fit into a std::string itself
// and is allocated). Each thread reads its part of the file in chunks of 1 MiB,
// makes a std::string of each word and counts it in a map of its own; the maps are merged at the end, and the
// most frequent words sorted out.
#include "common.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

enum { VOCABULARY = 1000000, CHUNK = 1 << 20 };

std::string word(uint64_t rank)
{
	uint64_t s = rank * 0x9e3779b97f4a7c15ull + 1;
	size_t n = 3 + std::min(next_random(&s) % 20, next_random(&s) % 20);
	std::string w(n, 'a');
	for (auto &c : w)
		c = char('a' + next_random(&s) % 26);
	return w;
}

uint64_t hash_word(const std::string &w)
{
	uint64_t h = 14695981039346656037ull;
	for (unsigned char c : w)
		h = (h ^ c) * 1099511628211ull;
	return h;
}

// What is known of a text: words, and a sum over them that does not depend on their order.
struct Sum {
	uint64_t words = 0, hash = 0;
};

int generate(const std::string &path, uint64_t words, uint64_t seed)
{
	FILE *f = fopen(path.c_str(), "w");
	check(f != nullptr, "can't write the text");
	Sum sum;
	std::string line;
	while (sum.words < words) {
		line.clear();
		for (int i = 0; i < 12 && sum.words < words; i++) {
			// The inverse of the distribution function of 1/x on [1, VOCABULARY].
			uint64_t rank = uint64_t(std::exp(next_unit(&seed) * std::log(double(VOCABULARY))));
			std::string w = word(rank);
			sum.words++;
			sum.hash += hash_word(w);
			line += w;
			line += i == 11 || sum.words == words ? '\n' : ' ';
		}
		check(fwrite(line.data(), 1, line.size(), f) == line.size(), "writing the text");
	}
	check(fclose(f) == 0, "writing the text");
	f = fopen((path + ".sum").c_str(), "w");
	check(f != nullptr, "can't write the sum");
	fprintf(f, "%llu %llu\n", (unsigned long long)sum.words, (unsigned long long)sum.hash);
	return fclose(f);
}

using Counts = std::unordered_map<std::string, uint64_t>;

// Counts the words that begin in [from, to) of the file.
void count_part(const std::string &path, off_t from, off_t to, Counts *counts)
{
	int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
	check(fd >= 0, "can't read the text");
	bool skip = false; // the word that began in the part before
	if (from > 0) {
		char c;
		check(pread(fd, &c, 1, from - 1) == 1, "read");
		skip = c != ' ' && c != '\n';
	}
	std::string current;
	off_t at = from;
	for (bool done = false; !done;) {
		auto chunk = std::make_unique<char[]>(CHUNK);
		ssize_t n = pread(fd, chunk.get(), CHUNK, at);
		check(n >= 0, "read");
		for (ssize_t i = 0; i < n && !done; i++) {
			char c = chunk[i];
			if (c != ' ' && c != '\n') {
				if (!skip && at + i >= to && current.empty())
					done = true; // it begins in the next part
				else if (!skip)
					current.push_back(c);
				continue;
			}
			skip = false;
			if (!current.empty()) {
				++(*counts)[std::string(current)];
				current.clear();
			}
			done = at + i >= to;
		}
		at += n;
		if (n == 0)
			done = true;
	}
	if (!current.empty())
		++(*counts)[current];
	close(fd);
}

int count(const std::string &path, int threads)
{
	int fd = open(path.c_str(), O_RDONLY);
	check(fd >= 0, "can't read the text");
	off_t size = lseek(fd, 0, SEEK_END);
	close(fd);
	const int64_t from = now_ns();
	std::vector<Counts> part(threads);
	std::vector<std::thread> workers;
	for (int i = 0; i < threads; i++)
		workers.emplace_back(count_part, path, size * i / threads, size * (i + 1) / threads, &part[i]);
	for (auto &w : workers)
		w.join();
	Counts all;
	for (auto &p : part) {
		for (auto &[w, n] : p)
			all[w] += n;
		Counts().swap(p);
	}
	std::vector<std::pair<uint64_t, std::string>> top;
	for (auto &[w, n] : all)
		top.emplace_back(n, w);
	std::sort(top.rbegin(), top.rend());
	const int64_t to = now_ns();

	Sum sum;
	for (auto &[n, w] : top) {
		sum.words += n;
		sum.hash += n * hash_word(w);
	}
	FILE *f = fopen((path + ".sum").c_str(), "r");
	unsigned long long words, hash;
	check(f != nullptr && fscanf(f, "%llu %llu", &words, &hash) == 2, "no sum beside the text");
	check(sum.words == words && sum.hash == hash, "the words counted are not those written");
	printf("{\"throughput\": %.6g, \"operations\": %llu, \"distinct\": %zu, " SPAN "}\n", double(words) * 1e9 / double(to - from), words, top.size(),
		(long long)from, (long long)to);
	return 0;
}

} // namespace

int main(int argc, char **argv)
{
	if (argc >= 4 && strcmp(argv[1], "gen") == 0)
		return generate(argv[2], strtoull(argv[3], nullptr, 0), argc > 4 ? strtoull(argv[4], nullptr, 0) : 1);
	if (argc == 4 && strcmp(argv[1], "count") == 0)
		return count(argv[2], atoi(argv[3]));
	fprintf(stderr, "usage: pipeline gen FILE WORDS [SEED] | pipeline count FILE THREADS\n");
	return 2;
}
