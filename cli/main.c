/* The `capstan` program: finds the command and hands it its arguments. */
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/manual.h"
#include "cli/options.h"
#include "config/values.h"

#include <stdio.h>
#include <string.h>

typedef struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
} command_t;

static const command_t commands[] = {
#define COMMAND(name, summary) {#name, summary, cli_##name},
#include "cli/commands.def"
#undef COMMAND
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static const command_t *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static void print_usage(FILE *out)
{
    fprintf(out, "Usage: capstan COMMAND [options]\n\n"
                 "Capstan keeps events in order per key, durable, in one process.\n\nCommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        fprintf(out, "  %-10s%s\n", commands[i].name, commands[i].summary);
    }
    fprintf(out, "  %-10s%s\n\nPages:\n", "help", "explain a command, or print a page");
    help_list(out);
    fprintf(out,
            "\nExit status: 0 when it is done, 1 when it failed, 2 for wrong usage.\n\nExamples:\n"
            "  capstan node --set store.path=/tmp/demo.db\n"
            "  capstan help feed\n"
            "  capstan help settings\n");
}

static int unknown_command(const char *name)
{
    nearest_t nearest = nearest_to(name);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        nearest_offer(&nearest, commands[i].name);
    }
    nearest_offer(&nearest, "help");
    if (nearest.best) {
        fprintf(stderr, "capstan: unknown command %s; did you mean %s?\n", name, nearest.best);
    } else {
        fprintf(stderr, "capstan: unknown command %s\n", name);
    }
    fprintf(stderr, "Try `capstan --help`.\n");
    return EXIT_USAGE;
}

/* `capstan help --man [COMMAND]`; argv[0] is --man. */
static int run_manual(int argc, char **argv)
{
    if (argc < 2) {
        manual_print_program(stdout);
        return EXIT_DONE;
    }
    const command_t *command = find_command(argv[1]);
    return command ? command->run(2, (char *[]){argv[1], argv[0], NULL}) : unknown_command(argv[1]);
}

static int run_help(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        print_usage(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--man") == 0) {
        return run_manual(argc - 1, argv + 1);
    }
    if (help_print(argv[1], stdout)) {
        return EXIT_DONE;
    }
    const command_t *command = find_command(argv[1]);
    if (!command) {
        return unknown_command(argv[1]);
    }
    char option[] = "--help";
    if (argc > 2) { /* an action of the command */
        return command->run(3, (char *[]){argv[1], argv[2], option, NULL});
    }
    return command->run(2, (char *[]){argv[1], option, NULL});
}

static int run_command(int argc, char **argv)
{
    if (argc < 1) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[0];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_usage(stdout);
        return EXIT_DONE;
    }
    if (strcmp(name, "--version") == 0) {
        printf("capstan %s\n", CAPSTAN_VERSION);
        return EXIT_DONE;
    }
    if (strcmp(name, "help") == 0) {
        return run_help(argc, argv);
    }
    const command_t *command = find_command(name);
    return command ? command->run(argc, argv) : unknown_command(name);
}

/* Output that did not reach its file, for want of space for instance, is a failure too. */
int main(int argc, char **argv)
{
    int status = run_command(argc - 1, argv + 1);
    bool written = fflush(stdout) == 0 && !ferror(stdout);
    if (!written && status == EXIT_DONE) {
        fprintf(stderr, "capstan: the output could not be written\n");
        return EXIT_FAILED;
    }
    return status;
}
