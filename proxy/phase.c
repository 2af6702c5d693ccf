#include "proxy/phase.h"

unsigned phase_first(enum phase phase)
{
    switch (phase) {
    case PHASE_FOUNDATION:
    case PHASE_STOP_RECORDER: return RECORDER;
    case PHASE_STOP_KEEPER: return KEEPER;
    default: return FIRST_WORKER;
    }
}

unsigned phase_end(enum phase phase, unsigned children)
{
    switch (phase) {
    case PHASE_STOP_RECORDER: return KEEPER;
    case PHASE_FOUNDATION:
    case PHASE_STOP_KEEPER: return FIRST_WORKER;
    default: return children;
    }
}
