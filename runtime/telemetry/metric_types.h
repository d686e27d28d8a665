/* Expands the fragment named by METRICS_TABLE into the numbers of a concern's metrics and the
 * declarations of their values. Included by each X_metrics.h; it has no include guard because it is
 * expanded once per fragment.
 *
 *   METRIC(name, COUNTER|GAUGE|HISTOGRAM, "unit", "meaning") */
#include "runtime/telemetry/metrics.h"

#ifndef METRICS_JOIN
#define METRICS_JOIN4(a, b, c, d)  a##b##c##d
#define METRICS_JOIN(a, b, c, d)   METRICS_JOIN4(a, b, c, d)
#define METRICS_TEXT_(text)        #text
#define METRICS_TEXT(text)         METRICS_TEXT_(text)
#define METRICS_NUMBER(kind, name) METRICS_JOIN(METRIC_, kind, METRICS_CONCERN, name)
#define METRICS_VALUES(name)       METRICS_JOIN(, METRICS_CONCERN, _metric, name)
#define METRICS_KEEP(number)       number,
#define METRICS_SKIP(number)
#endif

#define METRIC(name, kind, unit, meaning) METRICS_NUMBER(, _##name),
enum {
#include METRICS_TABLE
    METRICS_NUMBER(, _COUNT)
};
#undef METRIC

/* Counters with gauges, and histograms, are numbered apart, each from 0: to record into a counter
 * does not compile. */
#define METRICS_IF_COUNTER                METRICS_KEEP
#define METRICS_IF_GAUGE                  METRICS_KEEP
#define METRICS_IF_HISTOGRAM              METRICS_SKIP
#define METRIC(name, kind, unit, meaning) METRICS_IF_##kind(METRICS_NUMBER(WORD_, _##name))
enum {
#include METRICS_TABLE
    METRICS_NUMBER(WORD_, _COUNT)
};
#undef METRIC
#undef METRICS_IF_COUNTER
#undef METRICS_IF_GAUGE
#undef METRICS_IF_HISTOGRAM

#define METRICS_IF_COUNTER                METRICS_SKIP
#define METRICS_IF_GAUGE                  METRICS_SKIP
#define METRICS_IF_HISTOGRAM              METRICS_KEEP
#define METRIC(name, kind, unit, meaning) METRICS_IF_##kind(METRICS_NUMBER(HISTOGRAM_, _##name))
enum {
#include METRICS_TABLE
    METRICS_NUMBER(HISTOGRAM_, _COUNT)
};
#undef METRIC
#undef METRICS_IF_COUNTER
#undef METRICS_IF_GAUGE
#undef METRICS_IF_HISTOGRAM

/* Whole cache lines, and at least one of each. */
enum {
    METRICS_NUMBER(STRIDE_, ) =
        (METRICS_NUMBER(WORD_, _COUNT) / METRIC_LINE_WORDS + 1) * METRIC_LINE_WORDS,
    METRICS_NUMBER(HISTOGRAMS_, ) =
        METRICS_NUMBER(HISTOGRAM_, _COUNT) > 0 ? METRICS_NUMBER(HISTOGRAM_, _COUNT) : 1,
};

extern _Atomic uint64_t METRICS_VALUES(_words)[METRIC_SHARDS][METRICS_NUMBER(STRIDE_, )];
extern histogram_t METRICS_VALUES(_histograms)[METRIC_SHARDS][METRICS_NUMBER(HISTOGRAMS_, )];
extern const metrics_section_t METRICS_VALUES(s);

#undef METRICS_TABLE
#undef METRICS_CONCERN
