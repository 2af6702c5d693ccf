/* The phases of a supervisor's life, and which of its children each of them waits for. */
#ifndef COUNTERSIGN_PROXY_PHASE_H
#define COUNTERSIGN_PROXY_PHASE_H

enum phase {
    PHASE_FOUNDATION, /* recorder and keeper are getting ready */
    PHASE_WORKERS,    /* the workers are */
    PHASE_SERVING,
    PHASE_STOP_WORKERS,
    PHASE_STOP_KEEPER,
    PHASE_STOP_RECORDER,
};

/* The order of the children in the supervisor's table is the order of the start. */
enum { RECORDER, KEEPER, FIRST_WORKER };

/* They are [phase_first, phase_end) of that table, which has `children` entries. */
unsigned phase_first(enum phase phase);
unsigned phase_end(enum phase phase, unsigned children);

#endif
