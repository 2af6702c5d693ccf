#include "crypto/keeper_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

STAILQ_HEAD(job_queue, pool_job);

struct pool {
    pthread_mutex_t lock; /* of everything down to `stopping` */
    pthread_cond_t submitted;
    struct job_queue waiting;
    struct job_queue finished;
    bool stopping;
    int wakeup; /* eventfd: something is in `finished` */
    struct event *awake;
    unsigned threads_count;
    pthread_t threads[];
};

static struct pool_job *take_first(struct job_queue *queue)
{
    struct pool_job *job = STAILQ_FIRST(queue);
    if (job)
        STAILQ_REMOVE_HEAD(queue, next);
    return job;
}

/* The next job; NULL when the pool stops, even if there are some left. */
static struct pool_job *wait_for_job(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->stopping && STAILQ_EMPTY(&pool->waiting))
        pthread_cond_wait(&pool->submitted, &pool->lock);
    struct pool_job *job = pool->stopping ? NULL : take_first(&pool->waiting);
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void finish(struct pool *pool, struct pool_job *job)
{
    pthread_mutex_lock(&pool->lock);
    bool first = STAILQ_EMPTY(&pool->finished);
    STAILQ_INSERT_TAIL(&pool->finished, job, next);
    pthread_mutex_unlock(&pool->lock);
    /* Cannot fail: an eventfd whose counter is far from its end takes every write. */
    if (first)
        (void)!eventfd_write(pool->wakeup, 1);
}

static void *work(void *context)
{
    struct pool *pool = context;
    struct pool_job *job;
    while ((job = wait_for_job(pool))) {
        job->work(job->context);
        finish(pool, job);
    }
    return NULL;
}

static void call_done(struct job_queue *jobs)
{
    struct pool_job *job;
    while ((job = take_first(jobs)))
        job->done(job->context);
}

static void on_awake(evutil_socket_t fd, short what, void *context)
{
    struct pool *pool = context;
    struct job_queue finished = STAILQ_HEAD_INITIALIZER(finished);
    eventfd_t count;
    (void)what;
    /* The count goes down before the queue is taken: a job that finishes between the two wakes us
     * once more for nothing, and none is missed. */
    (void)!eventfd_read(fd, &count);
    pthread_mutex_lock(&pool->lock);
    STAILQ_CONCAT(&finished, &pool->finished);
    pthread_mutex_unlock(&pool->lock);
    call_done(&finished);
}

/* Signals are for the event loop's thread. */
MUST_USE static bool start_threads(struct pool *pool, unsigned threads)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_BLOCK, &all, &before) != 0)
        return false;
    while (pool->threads_count < threads &&
           pthread_create(&pool->threads[pool->threads_count], NULL, work, pool) == 0)
        pool->threads_count++;
    return pthread_sigmask(SIG_SETMASK, &before, NULL) == 0 && pool->threads_count == threads;
}

struct pool *pool_new(struct event_base *base, unsigned threads)
{
    struct pool *pool = calloc(1, sizeof *pool + threads * sizeof pool->threads[0]);
    if (!pool)
        return NULL;
    /* With default attributes neither of these fails. */
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->submitted, NULL);
    STAILQ_INIT(&pool->waiting);
    STAILQ_INIT(&pool->finished);
    pool->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->wakeup >= 0)
        pool->awake = event_new(base, pool->wakeup, EV_READ | EV_PERSIST, on_awake, pool);
    if (!pool->awake || event_add(pool->awake, NULL) < 0 || !start_threads(pool, threads)) {
        pool_free(pool);
        return NULL;
    }
    return pool;
}

void pool_submit(struct pool *pool, struct pool_job *job)
{
    pthread_mutex_lock(&pool->lock);
    STAILQ_INSERT_TAIL(&pool->waiting, job, next);
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_signal(&pool->submitted);
}

static void tell_to_stop(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_broadcast(&pool->submitted);
}

bool pool_stop(struct pool *pool, unsigned milliseconds)
{
    struct timespec until;
    tell_to_stop(pool);
    /* Cannot fail: every Linux has this clock. */
    (void)clock_gettime(CLOCK_REALTIME, &until);
    uint64_t nanoseconds = (uint64_t)until.tv_nsec + (uint64_t)milliseconds * 1000000;
    until.tv_sec += (time_t)(nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    while (pool->threads_count &&
           pthread_timedjoin_np(pool->threads[pool->threads_count - 1], NULL, &until) == 0)
        pool->threads_count--;
    return pool->threads_count == 0;
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    tell_to_stop(pool);
    for (unsigned i = 0; i < pool->threads_count; i++)
        pthread_join(pool->threads[i], NULL);
    call_done(&pool->finished);
    call_done(&pool->waiting);
    if (pool->awake)
        event_free(pool->awake);
    if (pool->wakeup >= 0)
        close(pool->wakeup);
    pthread_cond_destroy(&pool->submitted);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
