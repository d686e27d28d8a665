/* tell MESSAGES: the ceiling of runtime/tell.c: what the library and the wire format allow when
 * nothing else is done. One thread packs envelopes and bodies of 64 bytes in msgpack, 64 to a
 * message of PUSH; the other pulls, reads every envelope and sums the numbers in the bodies. No
 * actors, no mailboxes, no accounts; bounded by a high-water mark of 64 batches.
 *
 * An envelope is {1: message, 2: kind, 4: sender, 5: target}; a reference is [node, boot, slot,
 * generation]. */
#include "tests/bench/kit/bench.h"

#include <pthread.h>
#include <string.h>
#include <zmq.h>

enum {
    BATCH = 64,
    BODY_BYTES = 64,
    REF_BYTES = 1 + 9 + 3 * 5,
    MESSAGE_BYTES_MAX = 1 + 4 * 1 + 3 + 1 + 2 * REF_BYTES + 2 + BODY_BYTES,
    BATCHES_UNDER_WAY = 64,
};

typedef struct ref {
    uint64_t node;
    uint32_t boot;
    uint32_t slot;
    uint32_t generation;
} ref_t;

typedef struct envelope {
    uint64_t message;
    uint64_t kind;
    ref_t sender;
    ref_t target;
    const uint8_t *body;
} envelope_t;

typedef struct puller {
    void *socket;
    uint64_t messages;
    uint64_t sum;
} puller_t;

/* --- packing --------------------------------------------------------------------------------- */

static uint8_t *pack_big(uint8_t *at, uint64_t value, int bytes)
{
    uint64_t big = __builtin_bswap64(value);
    memcpy(at, (const uint8_t *)&big + (8 - bytes), (size_t)bytes);
    return at + bytes;
}

static uint8_t *pack_uint(uint8_t *at, uint64_t value)
{
    if (value < 0x80) {
        *at++ = (uint8_t)value;
        return at;
    }
    int power = value > UINT32_MAX ? 3 : value > UINT16_MAX ? 2 : value > UINT8_MAX ? 1 : 0;
    *at++ = (uint8_t)(0xcc + power);
    return pack_big(at, value, 1 << power);
}

static uint8_t *pack_ref(uint8_t *at, const ref_t *ref)
{
    *at++ = 0x94;
    at = pack_uint(at, ref->node);
    at = pack_uint(at, ref->boot);
    at = pack_uint(at, ref->slot);
    return pack_uint(at, ref->generation);
}

static uint8_t *pack_message(uint8_t *at, const envelope_t *envelope)
{
    *at++ = 0x84;
    *at++ = 1;
    at = pack_uint(at, envelope->message);
    *at++ = 2;
    at = pack_uint(at, envelope->kind);
    *at++ = 4;
    at = pack_ref(at, &envelope->sender);
    *at++ = 5;
    at = pack_ref(at, &envelope->target);
    *at++ = 0xc4;
    *at++ = BODY_BYTES;
    memcpy(at, envelope->body, BODY_BYTES);
    return at + BODY_BYTES;
}

/* --- reading, with every length checked ------------------------------------------------------ */

static void need(const uint8_t *at, const uint8_t *end, ptrdiff_t bytes)
{
    if (end - at < bytes) {
        bench_fail("a batch is cut short");
    }
}

static const uint8_t *read_uint(const uint8_t *at, const uint8_t *end, uint64_t *ret_value)
{
    need(at, end, 1);
    uint8_t head = *at++;
    if (head < 0x80) {
        *ret_value = head;
        return at;
    }
    if (head < 0xcc || head > 0xcf) {
        bench_fail("no number where one must be: %#x", head);
    }
    int bytes = 1 << (head - 0xcc);
    uint64_t big = 0;
    need(at, end, bytes);
    memcpy((uint8_t *)&big + (8 - bytes), at, (size_t)bytes);
    *ret_value = __builtin_bswap64(big);
    return at + bytes;
}

static const uint8_t *read_u32(const uint8_t *at, const uint8_t *end, uint32_t *ret_value)
{
    uint64_t value;
    at = read_uint(at, end, &value);
    *ret_value = (uint32_t)value;
    return at;
}

static const uint8_t *read_byte(const uint8_t *at, const uint8_t *end, uint8_t wanted)
{
    need(at, end, 1);
    if (*at != wanted) {
        bench_fail("byte %#x, not %#x", *at, wanted);
    }
    return at + 1;
}

static const uint8_t *read_ref(const uint8_t *at, const uint8_t *end, ref_t *ret_ref)
{
    at = read_byte(at, end, 0x94);
    at = read_uint(at, end, &ret_ref->node);
    at = read_u32(at, end, &ret_ref->boot);
    at = read_u32(at, end, &ret_ref->slot);
    return read_u32(at, end, &ret_ref->generation);
}

static const uint8_t *read_message(const uint8_t *at, const uint8_t *end, envelope_t *ret_envelope)
{
    at = read_byte(at, end, 0x84);
    at = read_uint(read_byte(at, end, 1), end, &ret_envelope->message);
    at = read_uint(read_byte(at, end, 2), end, &ret_envelope->kind);
    at = read_ref(read_byte(at, end, 4), end, &ret_envelope->sender);
    at = read_ref(read_byte(at, end, 5), end, &ret_envelope->target);
    at = read_byte(read_byte(at, end, 0xc4), end, BODY_BYTES);
    need(at, end, BODY_BYTES);
    ret_envelope->body = at;
    return at + BODY_BYTES;
}

/* --- the two threads ------------------------------------------------------------------------- */

static void *pull(void *argument)
{
    puller_t *puller = argument;
    envelope_t envelope;
    zmq_msg_t batch;
    zmq_msg_init(&batch);
    while (puller->messages > 0) {
        if (zmq_msg_recv(&batch, puller->socket, 0) < 0) {
            bench_fail("receive: %s", zmq_strerror(zmq_errno()));
        }
        const uint8_t *at = zmq_msg_data(&batch);
        const uint8_t *end = at + zmq_msg_size(&batch);
        while (at < end) {
            uint64_t number;
            at = read_message(at, end, &envelope);
            memcpy(&number, envelope.body, sizeof number);
            bench_expect("generation of the target", envelope.target.generation, 1);
            puller->sum += number;
            puller->messages--;
        }
    }
    zmq_msg_close(&batch);
    zmq_close(puller->socket);
    return NULL;
}

static void push(void *socket, uint64_t messages)
{
    uint8_t body[BODY_BYTES] = {0};
    envelope_t envelope = {.message = 0x8001,
                           .kind = 3,
                           .sender = {.slot = 3, .generation = 1},
                           .target = {.slot = 2, .generation = 1},
                           .body = body};
    for (uint64_t number = 0; number < messages;) {
        uint8_t bytes[BATCH * MESSAGE_BYTES_MAX];
        uint8_t *at = bytes;
        for (int i = 0; i < BATCH; i++, number++) {
            memcpy(body, &number, sizeof number);
            at = pack_message(at, &envelope);
        }
        if (zmq_send(socket, bytes, (size_t)(at - bytes), 0) < 0) {
            bench_fail("send: %s", zmq_strerror(zmq_errno()));
        }
    }
}

int main(int argc, char **argv)
{
    uint64_t messages = bench_argument(argc, argv, 1, "messages");
    int mark = BATCHES_UNDER_WAY / 2; /* inproc adds the two sides' marks */
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_PUSH);
    puller_t puller = {.socket = zmq_socket(context, ZMQ_PULL), .messages = messages};
    pthread_t thread;
    bench_expect("messages beyond whole batches", messages % BATCH, 0);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &mark, sizeof mark);
    zmq_setsockopt(puller.socket, ZMQ_RCVHWM, &mark, sizeof mark);
    if (zmq_bind(puller.socket, "inproc://tell") != 0 ||
        zmq_connect(socket, "inproc://tell") != 0) {
        bench_fail("start: %s", zmq_strerror(zmq_errno()));
    }
    bench_meter_t meter = bench_begin();
    if (pthread_create(&thread, NULL, pull, &puller) != 0) {
        bench_fail("start");
    }
    push(socket, messages);
    pthread_join(thread, NULL);
    bench_figures_t figures = bench_end(&meter, messages);
    bench_expect("sum of the numbers", puller.sum, messages * (messages - 1) / 2);
    zmq_close(socket);
    zmq_ctx_term(context);
    bench_print(&figures);
    return 0;
}
