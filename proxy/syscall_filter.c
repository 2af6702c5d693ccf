#include "proxy/syscall_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define DENY SCMP_ACT_ERRNO(EPERM)

/* What nobody in here ever has a reason to call. */
static const int denied_to_all[] = {
    /* other programs and processes */
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(kill),
    SCMP_SYS(tkill), SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo), SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(process_madvise),
    SCMP_SYS(kcmp), SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_getfd), SCMP_SYS(pidfd_send_signal),
    /* namespaces and mounts */
    SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(chroot), SCMP_SYS(pivot_root), SCMP_SYS(mount),
    SCMP_SYS(umount), SCMP_SYS(umount2), SCMP_SYS(mount_setattr), SCMP_SYS(move_mount),
    SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick),
    /* the kernel itself */
    SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(init_module), SCMP_SYS(finit_module),
    SCMP_SYS(delete_module), SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd),
    SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(reboot), SCMP_SYS(swapon),
    SCMP_SYS(swapoff), SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(syslog), SCMP_SYS(iopl),
    SCMP_SYS(ioperm), SCMP_SYS(modify_ldt), SCMP_SYS(personality), SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime), SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex), SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname), SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at),
    /* io_uring opens files and sockets behind a filter's back */
    SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
    /* the tree of the file system */
    SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(symlink),
    SCMP_SYS(symlinkat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(mknod),
    SCMP_SYS(mknodat), SCMP_SYS(truncate), SCMP_SYS(chmod), SCMP_SYS(fchmodat), SCMP_SYS(chown),
    SCMP_SYS(lchown), SCMP_SYS(fchownat), SCMP_SYS(setxattr), SCMP_SYS(lsetxattr),
    SCMP_SYS(removexattr), SCMP_SYS(lremovexattr),
    /* listeners are opened by the supervisor */
    SCMP_SYS(bind), SCMP_SYS(listen)};

static bool deny_list(scmp_filter_ctx filter, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (seccomp_rule_add(filter, DENY, calls[i], 0) != 0) {
            return false;
        }
    }
    return true;
}

/* Denies `call` when its argument number `arg` compares so with a value; for SCMP_CMP_MASKED_EQ,
 * `a` is the mask and `b` the value. */
static bool deny_when(scmp_filter_ctx filter, int call, unsigned arg, enum scmp_compare compare,
                      scmp_datum_t a, scmp_datum_t b)
{
    struct scmp_arg_cmp condition = {arg, compare, a, b};
    return seccomp_rule_add_array(filter, DENY, call, 1, &condition) == 0;
}

/* The calls that depend on an argument, or on the C library's way round a refusal. */
static bool deny_to_all(scmp_filter_ctx filter)
{
    if (!deny_list(filter, denied_to_all, sizeof denied_to_all / sizeof denied_to_all[0])) {
        return false;
    }
    /* Threads, yes; processes and namespaces, no. The flags of clone3 and openat2 are behind a
     * pointer: told that they do not exist, the C library takes clone and openat. */
    if (!deny_when(filter, SCMP_SYS(clone), 0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0) ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) != 0 ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0) != 0) {
        return false;
    }
    /* abort() and raise() signal their own process; keystrokes are not pushed into a terminal. */
    return deny_when(filter, SCMP_SYS(tgkill), 0, SCMP_CMP_NE, (scmp_datum_t)getpid(), 0) &&
           deny_when(filter, SCMP_SYS(ioctl), 1, SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCSTI);
}

/* Every way to open a file that could change it, and to put one in another's place; a read-only
 * descriptor can still truncate. */
static bool deny_writing(scmp_filter_ctx filter)
{
    static const unsigned masks[][2] = {
        {O_ACCMODE, O_WRONLY}, {O_ACCMODE, O_RDWR}, {O_CREAT, O_CREAT}, {O_TRUNC, O_TRUNC}};

    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        if (!deny_when(filter, SCMP_SYS(open), 1, SCMP_CMP_MASKED_EQ, masks[i][0], masks[i][1]) ||
            !deny_when(filter, SCMP_SYS(openat), 2, SCMP_CMP_MASKED_EQ, masks[i][0], masks[i][1])) {
            return false;
        }
    }
    static const int others[] = {SCMP_SYS(creat), SCMP_SYS(rename), SCMP_SYS(renameat),
                                 SCMP_SYS(renameat2)};
    return deny_list(filter, others, sizeof others / sizeof others[0]);
}

/*
 * Leaves socket() only the given families, in ascending order: what is below the first, between
 * two, and above the last is denied. Anything in the upper half of the argument counts as "above".
 */
static bool allow_families(scmp_filter_ctx filter, const int *families, size_t count)
{
    int next = 0;

    for (size_t i = 0; i < count; i++) {
        for (; next < families[i]; next++) {
            if (!deny_when(filter, SCMP_SYS(socket), 0, SCMP_CMP_EQ, (scmp_datum_t)next, 0)) {
                return false;
            }
        }
        next = families[i] + 1;
    }
    return deny_when(filter, SCMP_SYS(socket), 0, SCMP_CMP_GE, (scmp_datum_t)next, 0);
}

/* A KDC, a name server and winbind are asked by streams and datagrams; the flags that socket()
 * takes with its type stand above the low four bits. */
static bool allow_streams_and_datagrams(scmp_filter_ctx filter)
{
    enum { TYPE_MASK = 0xf };
    for (scmp_datum_t type = 0; type <= TYPE_MASK; type++) {
        if (type != SOCK_STREAM && type != SOCK_DGRAM &&
            !deny_when(filter, SCMP_SYS(socket), 1, SCMP_CMP_MASKED_EQ, TYPE_MASK, type)) {
            return false;
        }
    }
    return true;
}

static bool deny_to_role(scmp_filter_ctx filter, enum peer_role role)
{
    static const int of_worker[] = {AF_INET, AF_INET6};
    static const int of_keeper[] = {AF_UNIX, AF_INET, AF_INET6};
    static const int of_recorder[] = {AF_UNIX};
    static const int accepting[] = {SCMP_SYS(accept), SCMP_SYS(accept4)};

    switch (role) {
    case PEER_WORKER: return allow_families(filter, of_worker, 2) && deny_writing(filter);
    case PEER_KEEPER:
        return allow_families(filter, of_keeper, 3) && allow_streams_and_datagrams(filter) &&
               deny_writing(filter) && deny_list(filter, accepting, 2);
    case PEER_RECORDER:
        return allow_families(filter, of_recorder, 1) && deny_list(filter, accepting, 2);
    }
    return false;
}

bool syscall_filter_load(enum peer_role role)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL) {
        errno = ENOMEM;
        return false;
    }
    /* A tree instead of a list: the data path's calls come out after a few comparisons. */
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    bool built = deny_to_all(filter) && deny_to_role(filter, role);
    int result = built ? seccomp_load(filter) : -EINVAL;
    seccomp_release(filter);
    errno = result < 0 ? -result : 0;
    return result == 0;
}
