/* What the benchmarks of several processes share: a child that is this program again, a node among
 * them, and a folder for its store. */
#ifndef CLI_BENCH_PROCESSES_H
#define CLI_BENCH_PROCESSES_H

#include <capstan/error.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

typedef struct child {
    pid_t pid;
    FILE *out; /* what it prints */
} child_t;

capstan_err_t child_start(char *const argv[], child_t *ret_child);
bool child_read_line(child_t *child, char *line, size_t size);
/* Sends the signal, 0: none, waits for its end, and releases it. INTERNAL: it has failed. */
capstan_err_t child_finish(child_t *child, int signal_number);

/* A node with its store in the folder, and one setting more ("name=value"). */
capstan_err_t child_start_node(const char *folder, char *setting, child_t *ret_child,
                               char endpoint[128]);

bool bench_make_folder(char folder[64]);
void bench_remove_folder(const char *folder);

#endif
