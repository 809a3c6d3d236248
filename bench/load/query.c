/* A query engine: SQLite in threads, each with a database of its own in memory. Joins, groups, sorts and text
 * functions over seeded tables; the results are compared with sums that are kept while the tables are filled.
 *
 *	query ROWS ROUNDS THREADS */
#include "common.h"
#include <pthread.h>
#include <sqlite3.h>

static int rows, rounds;

static void run(sqlite3 *db, const char *sql)
{
	char *err = NULL;
	if (sqlite3_exec(db, sql, NULL, NULL, &err) != SQLITE_OK) {
		dprintf(2, "%s: %s\n", sql, err);
		_exit(4);
	}
}

/* Steps through all rows, the sum of column 0, and how many they were. */
static int64_t sum_of(sqlite3 *db, const char *sql, int64_t *n)
{
	sqlite3_stmt *s;
	check(sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK, sql);
	int64_t sum = 0;
	*n = 0;
	int rc;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		sum += sqlite3_column_int64(s, 0);
		++*n;
	}
	check(rc == SQLITE_DONE, sql);
	sqlite3_finalize(s);
	return sum;
}

static void *work(void *arg)
{
	uint64_t seed = 1 + (uintptr_t)arg;
	sqlite3 *db;
	check(sqlite3_open(":memory:", &db) == SQLITE_OK, "open");
	run(db, "PRAGMA temp_store=MEMORY; CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT, region INT);"
		"CREATE TABLE item(id INTEGER PRIMARY KEY, customer INT, amount INT, note TEXT); BEGIN");
	sqlite3_stmt *s;
	int customers = rows / 20 + 1;
	sqlite3_prepare_v2(db, "INSERT INTO customer VALUES(?, ?, ?)", -1, &s, NULL);
	for (int i = 0; i < customers; i++) {
		char name[64];
		snprintf(name, sizeof name, "customer %llu", (unsigned long long)next_random(&seed) % 100000000);
		sqlite3_bind_int(s, 1, i);
		sqlite3_bind_text(s, 2, name, -1, SQLITE_TRANSIENT);
		sqlite3_bind_int(s, 3, i % 10);
		check(sqlite3_step(s) == SQLITE_DONE, "insert");
		sqlite3_reset(s);
	}
	sqlite3_finalize(s);
	sqlite3_prepare_v2(db, "INSERT INTO item VALUES(?, ?, ?, ?)", -1, &s, NULL);
	int64_t total = 0;
	for (int i = 0; i < rows; i++) {
		char note[256];
		int n = 10 + next_random(&seed) % 200;
		memset(note, 'a' + i % 26, n);
		int amount = next_random(&seed) % 1000;
		total += amount;
		sqlite3_bind_int(s, 1, i);
		sqlite3_bind_int(s, 2, next_random(&seed) % customers);
		sqlite3_bind_int(s, 3, amount);
		sqlite3_bind_text(s, 4, note, n, SQLITE_TRANSIENT);
		check(sqlite3_step(s) == SQLITE_DONE, "insert");
		sqlite3_reset(s);
	}
	sqlite3_finalize(s);
	run(db, "COMMIT; CREATE INDEX by_customer ON item(customer)");
	for (int r = 0; r < rounds; r++) {
		int64_t n;
		check(sum_of(db, "SELECT sum(i.amount), c.region, group_concat(DISTINCT substr(c.name, 1, 12)) FROM item i JOIN customer c ON "
				 "c.id = i.customer GROUP BY c.region ORDER BY 1 DESC", &n) == total && (n == 10 || n == customers), "join and group");
		check(sum_of(db, "SELECT amount, upper(note) AS u FROM item ORDER BY u, amount DESC", &n) == total && n == rows, "sort of texts");
		check(sum_of(db, "SELECT sum(amount) FROM item GROUP BY substr(note, 1, 3), customer % 100", &n) == total, "group by expression");
	}
	sqlite3_close(db);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: query ROWS ROUNDS THREADS\n");
		return 2;
	}
	rows = atoi(argv[1]);
	rounds = atoi(argv[2]);
	int threads = atoi(argv[3]);
	/* Its own statistics take a global lock around each malloc; without them it is the allocator that counts. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	pthread_t id[64];
	check(threads <= 64, "at most 64 threads");
	const int64_t from = now_ns();
	for (int i = 0; i < threads; i++)
		check(!pthread_create(&id[i], NULL, work, (void *)(uintptr_t)i), "pthread_create");
	for (int i = 0; i < threads; i++)
		pthread_join(id[i], NULL);
	const int64_t to = now_ns();
	printf("{\"throughput\": %.6g, " SPAN "}\n", (double)rounds * 3 * threads * 1e9 / (double)(to - from), (long long)from, (long long)to);
	return 0;
}
