/* Expands the fragment named by METRICS_TABLE into the rows and the values of a concern's metrics.
 * Included once, by X_metrics.c, behind X_metrics.h. */
_Alignas(64) _Atomic uint64_t METRICS_VALUES(_words)[METRIC_SHARDS][METRICS_NUMBER(STRIDE_, )];
_Alignas(64) histogram_t METRICS_VALUES(_histograms)[METRIC_SHARDS][METRICS_NUMBER(HISTOGRAMS_, )];

#define METRICS_PLACE_COUNTER(row)   METRICS_NUMBER(WORD_, row)
#define METRICS_PLACE_GAUGE(row)     METRICS_NUMBER(WORD_, row)
#define METRICS_PLACE_HISTOGRAM(row) METRICS_NUMBER(HISTOGRAM_, row)
#define METRIC(row, type, measure, text)                                                           \
    {.concern = METRICS_TEXT(METRICS_CONCERN),                                                     \
     .name = #row,                                                                                 \
     .kind = METRIC_KIND_##type,                                                                   \
     .unit = measure,                                                                              \
     .meaning = text,                                                                              \
     .place = METRICS_PLACE_##type(_##row)},
static const metric_t metric_rows[] = {
#include METRICS_TABLE
};
#undef METRIC

const metrics_section_t METRICS_VALUES(s) = {
    .rows = metric_rows,
    .count = sizeof metric_rows / sizeof metric_rows[0],
    .words = METRICS_VALUES(_words)[0],
    .stride = METRICS_NUMBER(STRIDE_, ),
    .histograms = METRICS_VALUES(_histograms)[0],
    .histogram_count = METRICS_NUMBER(HISTOGRAMS_, ),
};
