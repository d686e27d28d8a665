#include "runtime/backtrace.h"

#include "runtime/interrupt.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    HANDLER_FRAMES = 3, /* `capture`, who calls it, and what the kernel returns through */
};

typedef struct capture {
    void *frames[BACKTRACE_FRAMES_MAX + HANDLER_FRAMES];
    int count;
} capture_t;

void backtrace_prepare(void)
{
    void *unwinder[1];
    (void)backtrace(unwinder, 1);
}

static void capture(void *argument)
{
    capture_t *self = argument;
    self->count = backtrace(self->frames, BACKTRACE_FRAMES_MAX + HANDLER_FRAMES);
}

size_t backtrace_take(pthread_t thread, pid_t id, void *ret_frames[BACKTRACE_FRAMES_MAX])
{
    capture_t self = {.count = 0};
    if (!interrupt_run(thread, id, capture, &self) || self.count <= HANDLER_FRAMES) {
        return 0;
    }
    size_t count = (size_t)(self.count - HANDLER_FRAMES);
    memcpy(ret_frames, self.frames + HANDLER_FRAMES, count * sizeof *ret_frames);
    return count;
}

/* A frame but the innermost names the instruction behind a call, which may belong to the next line
 * or even function. */
void backtrace_describe(void *const *frames, size_t index, char ret_text[BACKTRACE_TEXT_SIZE])
{
    uintptr_t address = (uintptr_t)frames[index] - (index > 0 ? 1 : 0);
    Dl_info info;
    if (dladdr((void *)address, &info) == 0 || !info.dli_fname) {
        snprintf(ret_text, BACKTRACE_TEXT_SIZE, "%#lx", (unsigned long)address);
        return;
    }
    const char *slash = strrchr(info.dli_fname, '/');
    const char *module = slash ? slash + 1 : info.dli_fname;
    unsigned long offset = address - (uintptr_t)info.dli_fbase;
    if (info.dli_sname) {
        snprintf(ret_text, BACKTRACE_TEXT_SIZE, "%.80s+%#lx %.50s+%#lx", info.dli_sname,
                 address - (uintptr_t)info.dli_saddr, module, offset);
    } else {
        snprintf(ret_text, BACKTRACE_TEXT_SIZE, "%.50s+%#lx", module, offset);
    }
}
