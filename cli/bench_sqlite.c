#include "cli/bench_sqlite.h"

#include "cli/bench.h"
#include "runtime/base/ensure.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    ROW_BYTES = 150,
    COMMIT_ROWS = 1024,
    COMMITS_MAX = 100000,
};

static const char insert_row[] = "INSERT INTO rows (data) VALUES (?1)";

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static sqlite3 *open_table(const char *path)
{
    sqlite3 *db = NULL;
    /* 250 pages of 16 KiB are the 4 MiB at which the journal copies its log too. */
    static const char set_up[] = "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL;"
                                 "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 250;"
                                 "CREATE TABLE rows (id INTEGER PRIMARY KEY, data BLOB) STRICT";
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) == SQLITE_OK &&
        sqlite3_exec(db, set_up, NULL, NULL, NULL) == SQLITE_OK) {
        return db;
    }
    fprintf(stderr, "%s: %s\n", path, db ? sqlite3_errmsg(db) : "out of memory");
    sqlite3_close(db);
    return NULL;
}

static int commit_rows(sqlite3 *db, sqlite3_stmt *insert, int rows)
{
    uint8_t row[ROW_BYTES];
    memset(row, 0x5a, sizeof row);
    int result = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (int i = 0; result == SQLITE_OK && i < rows; i++) {
        sqlite3_bind_blob(insert, 1, row, sizeof row, SQLITE_STATIC);
        sqlite3_step(insert);
        result = sqlite3_reset(insert);
    }
    return result == SQLITE_OK ? sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) : result;
}

static double write_rows(sqlite3 *db, double seconds)
{
    sqlite3_stmt *insert = NULL;
    int result = sqlite3_prepare_v2(db, insert_row, -1, &insert, NULL);
    double begin = seconds_now();
    double passed = 0;
    uint64_t rows = 0;
    while (result == SQLITE_OK && passed < seconds) {
        result = commit_rows(db, insert, COMMIT_ROWS);
        rows += COMMIT_ROWS;
        passed = seconds_now() - begin;
    }
    if (result != SQLITE_OK) {
        fprintf(stderr, "bare SQLite: %s\n", sqlite3_errmsg(db));
    }
    sqlite3_finalize(insert);
    return result == SQLITE_OK && passed > 0 ? (double)rows / passed : -1;
}

/* Times single commits; returns how many. */
static size_t time_commits(sqlite3 *db, double seconds, uint64_t *times_ns)
{
    sqlite3_stmt *insert = NULL;
    int result = sqlite3_prepare_v2(db, insert_row, -1, &insert, NULL);
    size_t count = 0;
    double end = seconds_now() + seconds;
    for (double now = seconds_now(); result == SQLITE_OK && now < end && count < COMMITS_MAX;) {
        result = commit_rows(db, insert, 1);
        double after = seconds_now();
        times_ns[count++] = (uint64_t)((after - now) * 1e9);
        now = after;
    }
    if (result != SQLITE_OK) {
        fprintf(stderr, "bare SQLite: %s\n", sqlite3_errmsg(db));
    }
    sqlite3_finalize(insert);
    return result == SQLITE_OK ? count : 0;
}

static double commit_us(sqlite3 *db, double seconds)
{
    uint64_t *times_ns = calloc(COMMITS_MAX, sizeof *times_ns);
    ENSURE(times_ns);
    size_t count = time_commits(db, seconds, times_ns);
    bench_figures_t figures = {.p50_us = -1};
    if (count > 0) {
        bench_quantiles(times_ns, count, &figures);
    }
    free(times_ns);
    return figures.p50_us;
}

static double with_table(const char *folder, double seconds, double (*run)(sqlite3 *, double))
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/bare-sqlite-%ld.db", folder, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof path) {
        fprintf(stderr, "%s: the path is too long\n", folder);
        return -1;
    }
    sqlite3 *db = open_table(path);
    double figure = db ? run(db, seconds) : -1;
    sqlite3_close(db); /* the last one to close removes the write-ahead log */
    unlink(path);
    return figure;
}

double bare_sqlite_rows_per_s(const char *folder, double seconds)
{
    return with_table(folder, seconds, write_rows);
}

double bare_sqlite_commit_us(const char *folder, double seconds)
{
    return with_table(folder, seconds, commit_us);
}
