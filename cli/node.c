/* `capstan node`: settings, one assembled node, and the signals that end it.
 *
 * The library's threads block all signals, so only this one is told. While the node starts (which
 * may take long, when much is recovered) and again after the first signal, SIGINT and SIGTERM have
 * their default action: they end the process at once, which loses nothing that was acknowledged.
 * In between they are blocked and read from a signalfd. */
#include "cli/cli.h"
#include "cli/failed.h"
#include "cli/options.h"
#include "node/assembly.h"
#include "node/descriptors.h"
#include "node/node_events.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/scarcity.h"
#include "runtime/runtime.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* How often spans and suppressed log rows are told while the node runs. */
#define LOG_FLUSH_MS 1000

/* Memory of at least this size is given back to the system as soon as it is freed. Left to itself
 * malloc keeps what large appends once took, a multiple of what is in use under changing load. What
 * a busy partition appends and delivers at once (some 100 KiB) stays below it: the system clears
 * each page that it gives again, which took a third of the time of events on their way. */
enum { LARGE_BYTES = 1 << 20 };

extern char **environ;

typedef struct node_arguments {
    const char *config;
    option_list_t assignments;
} node_arguments_t;

static int parse(int argc, char **argv, node_arguments_t *ret_arguments)
{
    const option_t options[] = {
        {.name = "config",
         .argument = "FILE",
         .type = OPTION_TEXT,
         .target.text = &ret_arguments->config,
         .meaning = "settings file; `capstan help sample` prints one"},
        {.name = "set",
         .argument = "KEY=VALUE",
         .type = OPTION_LIST,
         .target.list = &ret_arguments->assignments,
         .meaning = "one setting; wins over file and environment"},
    };
    const command_line_t line = {
        .usage = "capstan node [--config FILE] [--set KEY=VALUE]...",
        .summary =
            "Runs a node until SIGINT or SIGTERM (Ctrl-C). When peers can connect, one JSON line "
            "on\n"
            "stdout names the endpoint; the log goes to stderr. A second signal ends it at once.\n"
            "Settings are explained by `capstan help settings`.",
        .examples =
            "  capstan node\n"
            "  capstan node --set gateway.endpoint=tcp://127.0.0.1:0 --set store.path=demo.db\n"
            "  CAPSTAN_NODE_NAME=orders capstan node --config capstan.yaml\n",
        .options = options,
        .count = OPTION_COUNT(options)};
    return options_parse(&line, argc, argv, NULL);
}

static capstan_err_t load_settings(const node_arguments_t *arguments, settings_t *settings,
                                   char *ret_text, size_t text_size)
{
    capstan_err_t err = CAPSTAN_OK;
    if (arguments->config) {
        err = settings_load_file(settings, arguments->config, ret_text, text_size);
    }
    if (err == CAPSTAN_OK) {
        err =
            settings_load_environment(settings, (const char *const *)environ, ret_text, text_size);
    }
    for (size_t i = 0; err == CAPSTAN_OK && i < arguments->assignments.count; i++) {
        err = settings_assign(settings, arguments->assignments.items[i], ret_text, text_size);
    }
    return err;
}

/* Blocks the signals that end the node and returns the descriptor that tells of them, or -1. */
static int take_signals(sigset_t *ret_signals)
{
    sigemptyset(ret_signals);
    sigaddset(ret_signals, SIGINT);
    sigaddset(ret_signals, SIGTERM);
    if (sigprocmask(SIG_BLOCK, ret_signals, NULL) != 0) {
        return -1;
    }
    return signalfd(-1, ret_signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static const char *wait_for_signal(int signals, capstan_node_t *node)
{
    for (;;) {
        struct pollfd ready = {.fd = signals, .events = POLLIN};
        (void)poll(&ready, 1, LOG_FLUSH_MS);
        struct signalfd_siginfo info;
        if (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
            return info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM";
        }
        node_log_spans(node);
        log_flush();
    }
}

static void print_ready(const assembly_t *assembly, const assembly_settings_t *settings)
{
    char id[17];
    snprintf(id, sizeof id, "%016" PRIx64, node_id(assembly_node(assembly)));
    buffer_t out = {0};
    json_writer_t json = json_writer(&out);
    emit_object_begin(&json);
    emit_key(&json, "ready");
    emit_bool(&json, true);
    emit_key(&json, "node");
    emit_string(&json, id);
    emit_key(&json, "boot");
    emit_uint(&json, node_boot(assembly_node(assembly)));
    emit_key(&json, "name");
    emit_string(&json, settings->node->name);
    emit_key(&json, "gateway");
    emit_string(&json, assembly_endpoint(assembly));
    emit_key(&json, "store");
    emit_string(&json, settings->journal->path);
    emit_key(&json, "pid");
    emit_int(&json, getpid());
    emit_object_end(&json);
    printf("%.*s\n", (int)out.size, (const char *)out.data);
    fflush(stdout);
    LOG(node, ready, log_string("name", settings->node->name), log_string("node", id),
        log_uint("boot", node_boot(assembly_node(assembly))),
        log_string("gateway", assembly_endpoint(assembly)),
        log_string("store", settings->journal->path));
    buffer_fini(&out);
}

static int stop_node(assembly_t *assembly)
{
    capstan_err_t err = assembly_stop(&assembly);
    if (err != CAPSTAN_OK) {
        /* Threads are still at work in what exit() would take down under them; the log has named
         * them. */
        log_flush();
        cli_failed("node", err, "stopped without waiting any longer");
        _exit(EXIT_FAILED);
    }
    LOG(node, stopped);
    log_flush();
    return EXIT_DONE;
}

static int run_node(const assembly_settings_t *settings)
{
    /* A reader of stdout or stderr that goes away must not end the node. A shell starts what it
     * puts in the background with SIGINT ignored. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    assembly_t *assembly;
    char text[1024] = "";
    capstan_err_t err = assembly_start(settings, &assembly, text, sizeof text);
    if (err != CAPSTAN_OK) {
        log_flush();
        return cli_failed("node", err, text);
    }
    sigset_t signals;
    int descriptor = take_signals(&signals);
    if (descriptor < 0) {
        err = descriptor_error(errno);
        snprintf(text, sizeof text, "cannot wait for signals: %s. %s", capstan_err_text(err),
                 capstan_err_remedy(err));
        cli_failed("node", err, text);
        stop_node(assembly);
        return EXIT_FAILED;
    }
    print_ready(assembly, settings);
    const char *name = wait_for_signal(descriptor, assembly_node(assembly));
    sigprocmask(SIG_UNBLOCK, &signals, NULL);
    node_log_spans(assembly_node(assembly));
    LOG(node, stopping, log_string("signal", name));
    int status = stop_node(assembly);
    close(descriptor);
    return status;
}

int cli_node(int argc, char **argv)
{
    node_arguments_t arguments = {0};
    int status = parse(argc, argv, &arguments);
    if (status != OPTIONS_RUN) {
        return status;
    }
    settings_t *loaded = settings_new(node_sections, NODE_SECTION_COUNT);
    char text[1024] = "";
    capstan_err_t err = load_settings(&arguments, loaded, text, sizeof text);
    if (err == CAPSTAN_OK) {
        const assembly_settings_t settings = {
            .node = settings_get(loaded, &node_settings_section),
            .runtime = settings_get(loaded, &runtime_settings_section),
            .gateway = settings_get(loaded, &gateway_settings_section),
            .ordering = settings_get(loaded, &ordering_settings_section),
            .journal = settings_get(loaded, &journal_settings_section),
            .saga = settings_get(loaded, &saga_settings_section),
        };
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
        status = run_node(&settings);
    } else {
        /* Wrong usage of file, environment or option alike. */
        status = EXIT_USAGE;
        fprintf(stderr, "capstan node: %s\n", text);
    }
    settings_destroy(&loaded);
    return status;
}
