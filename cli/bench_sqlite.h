/* The ceiling that the journal is measured against: bare SQLite, one row per event. */
#ifndef CLI_BENCH_SQLITE_H
#define CLI_BENCH_SQLITE_H

/* Rows of 150 bytes per second that one connection writes in commits of 1,024 rows, each commit
 * with fsync (WAL, synchronous=FULL, pages of 16 KiB, checkpoints of about 4 MiB), into a new file
 * in `folder`, which is removed afterwards. Blocks for `seconds` and the last commit. -1 when
 * SQLite refuses; stderr says why. */
double bare_sqlite_rows_per_s(const char *folder, double seconds);
/* The median time of a commit of one such row, of as many as fit into `seconds`, in microseconds.
 * -1 as above. */
double bare_sqlite_commit_us(const char *folder, double seconds);

#endif
