#include "cli/bench_sqlite.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    ROW_BYTES = 150,
    COMMIT_ROWS = 1024,
};

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

static int commit_rows(sqlite3 *db, sqlite3_stmt *insert)
{
    uint8_t row[ROW_BYTES];
    memset(row, 0x5a, sizeof row);
    int result = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (int i = 0; result == SQLITE_OK && i < COMMIT_ROWS; i++) {
        sqlite3_bind_blob(insert, 1, row, sizeof row, SQLITE_STATIC);
        sqlite3_step(insert);
        result = sqlite3_reset(insert);
    }
    return result == SQLITE_OK ? sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) : result;
}

static double write_rows(sqlite3 *db, double seconds)
{
    sqlite3_stmt *insert = NULL;
    int result = sqlite3_prepare_v2(db, "INSERT INTO rows (data) VALUES (?1)", -1, &insert, NULL);
    double begin = seconds_now();
    double passed = 0;
    uint64_t rows = 0;
    while (result == SQLITE_OK && passed < seconds) {
        result = commit_rows(db, insert);
        rows += COMMIT_ROWS;
        passed = seconds_now() - begin;
    }
    if (result != SQLITE_OK) {
        fprintf(stderr, "bare SQLite: %s\n", sqlite3_errmsg(db));
    }
    sqlite3_finalize(insert);
    return result == SQLITE_OK && passed > 0 ? (double)rows / passed : -1;
}

double bare_sqlite_rows_per_s(const char *folder, double seconds)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/bare-sqlite-%ld.db", folder, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof path) {
        fprintf(stderr, "%s: the path is too long\n", folder);
        return -1;
    }
    sqlite3 *db = open_table(path);
    double rate = db ? write_rows(db, seconds) : -1;
    sqlite3_close(db); /* the last one to close removes the write-ahead log */
    unlink(path);
    return rate;
}
