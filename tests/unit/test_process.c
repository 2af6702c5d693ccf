/*
 * What a confined process can no longer do, tried out in a child each. The system call filter is
 * not loaded under AddressSanitizer, so its tests run in the other builds only.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/process.h"

enum { TEST_UID = 64901 };

static const struct process_user nobody_here = {.uid = TEST_UID, .gid = TEST_UID};

/* A probe answers 0, or the line number of what went wrong. */
typedef int probe(enum peer_role role);
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return __LINE__;                                                                       \
    } while (0)
#define EXPECT_DENIED(call)                                                                        \
    do {                                                                                           \
        errno = 0;                                                                                 \
        if ((long)(call) != -1 || errno != EPERM)                                                  \
            return __LINE__;                                                                       \
    } while (0)

static bool is_root(void)
{
    return geteuid() == 0;
}

/* Runs `run` in a confined child; what the child ended with, as of waitpid(). */
static int confined(enum peer_role role, probe *run)
{
    int status = -1;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        const char *step = "";
        if (!process_confine(role, is_root() ? &nobody_here : NULL, &step)) {
            fprintf(stderr, "confining failed at %s: %s\n", step, strerror(errno));
            _exit(255);
        }
        int line = run(role);
        if (line != 0) {
            fprintf(stderr, "role %d: wrong in line %d (errno %d)\n", (int)role, line, errno);
        }
        _exit(line == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void passes(enum peer_role role, probe *run)
{
    int status = confined(role, run);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void passes_for_all(probe *run)
{
    passes(PEER_KEEPER, run);
    passes(PEER_RECORDER, run);
    passes(PEER_WORKER, run);
}

static int is_another_user(enum peer_role role)
{
    uid_t real, effective, saved;

    (void)role;
    EXPECT(getresuid(&real, &effective, &saved) == 0);
    EXPECT(real == TEST_UID && effective == TEST_UID && saved == TEST_UID);
    EXPECT(getgid() == TEST_UID && getegid() == TEST_UID && getgroups(0, NULL) == 0);
    EXPECT(setuid(0) == -1 && seteuid(0) == -1 && setgid(0) == -1);
    EXPECT(open("/etc/shadow", O_RDONLY) == -1 && errno == EACCES);
    return 0;
}

static int has_no_capability(enum peer_role role)
{
    cap_t now = cap_get_proc();
    cap_t none = cap_init();

    (void)role;
    EXPECT(now != NULL && none != NULL && cap_compare(now, none) == 0);
    cap_free(now);
    cap_free(none);
    return 0;
}

static int is_closed_to_others(enum peer_role role)
{
    struct rlimit core;
    char name[16] = "";

    EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    EXPECT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == PROCESS_IS_SANITIZED);
    EXPECT(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0);
    EXPECT(prctl(PR_GET_NAME, name, 0, 0, 0) == 0 && strcmp(name, process_name(role)) == 0);
    return 0;
}

static int starts_nothing(enum peer_role role)
{
    char *const argv[] = {"true", NULL};

    (void)role;
    EXPECT_DENIED(execve("/bin/true", argv, argv));
    EXPECT_DENIED(fork());
    EXPECT_DENIED(vfork());
    EXPECT_DENIED(syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0, 0));
    EXPECT(syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS);
    return 0;
}

static int touches_no_process(enum peer_role role)
{
    (void)role;
    EXPECT_DENIED(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    EXPECT_DENIED(kill(getppid(), 0));
    EXPECT_DENIED(kill(getpid(), 0));
    EXPECT_DENIED(syscall(SYS_tgkill, getppid(), getppid(), 0));
    EXPECT_DENIED(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
    EXPECT_DENIED(syscall(SYS_pidfd_open, getppid(), 0));
    return 0;
}

static int touches_no_kernel(enum peer_role role)
{
    (void)role;
    EXPECT_DENIED(unshare(CLONE_NEWUSER));
    EXPECT_DENIED(setns(0, 0));
    EXPECT_DENIED(mount("none", "/", "tmpfs", 0, NULL));
    EXPECT_DENIED(umount2("/", 0));
    EXPECT_DENIED(syscall(SYS_bpf, 0, NULL, 0));
    EXPECT_DENIED(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
    EXPECT_DENIED(syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0));
    EXPECT_DENIED(syscall(SYS_userfaultfd, 0));
    EXPECT_DENIED(syscall(SYS_io_uring_setup, 1, NULL));
    EXPECT_DENIED(syscall(SYS_finit_module, -1, "", 0));
    EXPECT_DENIED(syscall(SYS_kexec_load, 0, 0, NULL, 0));
    return 0;
}

static int leaves_the_tree_alone(enum peer_role role)
{
    /* The recorder replaces its state file as a whole. */
    if (role == PEER_RECORDER)
        EXPECT(rename("/tmp/countersign-none", "/tmp/countersign-other") == -1 && errno == ENOENT);
    else
        EXPECT_DENIED(rename("/tmp/countersign-none", "/tmp/countersign-other"));
    EXPECT_DENIED(unlink("/tmp/countersign-none"));
    EXPECT_DENIED(mkdir("/tmp/countersign-none", 0700));
    EXPECT_DENIED(symlink("/tmp/countersign-other", "/tmp/countersign-none"));
    EXPECT_DENIED(truncate("/tmp/countersign-none", 0));
    return 0;
}

static int listens_nowhere(enum peer_role role)
{
    (void)role;
    EXPECT_DENIED(listen(0, 1));
    EXPECT_DENIED(bind(0, NULL, 0));
    return 0;
}

static void *answer(void *argument)
{
    return argument;
}

static int can_still_work(enum peer_role role)
{
    int value = 0, pair[2];
    void *result = NULL;
    pthread_t thread;

    (void)role;
    EXPECT(pthread_create(&thread, NULL, answer, &value) == 0);
    EXPECT(pthread_join(thread, &result) == 0 && result == &value);
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    EXPECT(open("/etc/passwd", O_RDONLY) >= 0);
    EXPECT(raise(0) == 0);
    return 0;
}

static bool opens_socket(int family, int type)
{
    int fd = socket(family, type, 0);
    bool denied = fd < 0 && errno == EPERM;

    if (fd >= 0) {
        close(fd);
    }
    return !denied;
}

static int has_families_of_role(enum peer_role role)
{
    bool internet = role != PEER_RECORDER, local = role != PEER_WORKER;

    EXPECT(opens_socket(AF_INET, SOCK_STREAM) == internet);
    EXPECT(opens_socket(AF_INET6, SOCK_STREAM) == internet);
    EXPECT(opens_socket(AF_UNIX, SOCK_DGRAM) == local);
    EXPECT(!opens_socket(AF_UNSPEC, SOCK_STREAM));
    EXPECT(!opens_socket(AF_NETLINK, SOCK_RAW));
    EXPECT(!opens_socket(AF_PACKET, SOCK_RAW));
    EXPECT(!opens_socket(AF_ALG, SOCK_SEQPACKET));
    EXPECT(!opens_socket(AF_VSOCK, SOCK_STREAM));
    /* The kernel looks at the lower half only: this would be AF_NETLINK. */
    EXPECT_DENIED(syscall(SYS_socket, 0x100000000L + AF_NETLINK, SOCK_RAW, 0));
    return 0;
}

/* What a KDC, a name server and winbind are asked by. Nobody is there: that is not EPERM. */
static int asks_kdc_and_winbind(enum peer_role role)
{
    struct sockaddr_in kdc = {.sin_family = AF_INET, .sin_port = htons(1)};
    struct sockaddr_un pipe_of_winbind = {.sun_family = AF_UNIX, .sun_path = "/nowhere/pipe"};
    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int local = socket(AF_UNIX, SOCK_STREAM, 0);
    struct pollfd poll_udp = {.fd = udp, .events = POLLIN};

    (void)role;
    kdc.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT(connect(udp, (struct sockaddr *)&kdc, sizeof kdc) == 0);
    EXPECT(send(udp, "x", 1, 0) == 1);
    EXPECT(poll(&poll_udp, 1, 0) >= 0);
    EXPECT(connect(tcp, (struct sockaddr *)&kdc, sizeof kdc) == -1 && errno == ECONNREFUSED);
    EXPECT(connect(local, (struct sockaddr *)&pipe_of_winbind, sizeof pipe_of_winbind) == -1 &&
           errno == ENOENT);
    EXPECT_DENIED(accept(tcp, NULL, NULL));
    EXPECT_DENIED(accept4(tcp, NULL, NULL, 0));
    EXPECT_DENIED(bind(udp, (struct sockaddr *)&kdc, sizeof kdc));
    EXPECT_DENIED(listen(tcp, 1));
    /* Whole packets of one's own making need no capability in a namespace of one's own. */
    EXPECT_DENIED(socket(AF_INET, SOCK_RAW, IPPROTO_TCP));
    EXPECT_DENIED(socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP));
    return 0;
}

static int opens_nothing_for_writing(enum peer_role role)
{
    static const int flags[] = {O_WRONLY, O_RDWR, O_WRONLY | O_APPEND, O_RDONLY | O_TRUNC,
                                O_RDONLY | O_CREAT};

    (void)role;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        EXPECT_DENIED(open("/dev/null", flags[i], 0600));
        EXPECT_DENIED(syscall(SYS_openat, AT_FDCWD, "/dev/null", flags[i], 0600));
    }
    EXPECT_DENIED(creat("/tmp/countersign-none", 0600));
    EXPECT(syscall(SYS_openat2, AT_FDCWD, "/dev/null", NULL, 0) == -1 && errno == ENOSYS);
    return 0;
}

static int opens_its_log(enum peer_role role)
{
    (void)role;
    EXPECT(open("/dev/null", O_WRONLY | O_APPEND | O_CREAT, 0640) >= 0);
    return 0;
}

static int aborts(enum peer_role role)
{
    (void)role;
    abort();
}

static void test_becomes_another_user(void **state)
{
    (void)state;
    passes_for_all(is_another_user);
}

static void test_has_no_capability(void **state)
{
    (void)state;
    passes_for_all(has_no_capability);
}

static void test_is_closed_to_others(void **state)
{
    (void)state;
    passes_for_all(is_closed_to_others);
}

static void test_starts_nothing(void **state)
{
    (void)state;
    passes_for_all(starts_nothing);
}

static void test_touches_no_process(void **state)
{
    (void)state;
    passes_for_all(touches_no_process);
}

static void test_touches_no_kernel(void **state)
{
    (void)state;
    passes_for_all(touches_no_kernel);
}

static void test_leaves_the_tree_alone(void **state)
{
    (void)state;
    passes_for_all(leaves_the_tree_alone);
}

static void test_listens_nowhere(void **state)
{
    (void)state;
    passes_for_all(listens_nowhere);
}

static void test_can_still_work(void **state)
{
    (void)state;
    passes_for_all(can_still_work);
}

static void test_socket_families(void **state)
{
    (void)state;
    passes_for_all(has_families_of_role);
}

static void test_keeper_asks_kdc_and_winbind(void **state)
{
    (void)state;
    passes(PEER_KEEPER, asks_kdc_and_winbind);
}

static void test_opens_nothing_for_writing(void **state)
{
    (void)state;
    passes(PEER_WORKER, opens_nothing_for_writing);
    passes(PEER_KEEPER, opens_nothing_for_writing);
    passes(PEER_RECORDER, opens_its_log);
}

static void test_can_abort(void **state)
{
    (void)state;
    int status = confined(PEER_WORKER, aborts);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* What the parent of the parent sees: the grandchild must end when its parent is killed. */
static void test_dies_with_its_parent(void **state)
{
    int pipe_fds[2];
    char byte;

    (void)state;
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        pid_t me = getpid();
        if (fork() == 0) {
            /* SIGALRM is what ends it after the grace; here without the wait. */
            signal(SIGALRM, SIG_DFL);
            sigset_t term, none;
            sigemptyset(&none);
            sigemptyset(&term);
            sigaddset(&term, SIGTERM);
            sigprocmask(SIG_BLOCK, &term, NULL); /* until it is waited for */
            if (!process_die_with(me) || write(pipe_fds[1], "r", 1) != 1) {
                _exit(1);
            }
            sigsuspend(&none); /* ended by start_grace() */
            _exit(alarm(0) > 0 && write(pipe_fds[1], "g", 1) == 1 ? 0 : 1);
        }
        pause();
        _exit(0);
    }
    close(pipe_fds[1]);
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    assert_int_equal(byte, 'g');
    assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
    close(pipe_fds[0]);
}

static void test_notices_a_dead_parent(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(process_die_with(getppid() + 1) ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_finds_users(void **state)
{
    struct process_user user;

    (void)state;
    assert_true(process_find_user("64901", &user));
    assert_int_equal(user.uid, 64901);
    assert_int_equal(user.gid, 64901);
    assert_true(process_find_user("nobody", &user));
    assert_int_not_equal(user.uid, 0);
    assert_false(process_find_user("root", &user));
    assert_false(process_find_user("0", &user));
    assert_false(process_find_user("4294967295", &user));
    assert_false(process_find_user("99999999999999999999", &user));
    assert_false(process_find_user("-5", &user));
    assert_false(process_find_user(" 5", &user));
    assert_false(process_find_user("", &user));
    assert_false(process_find_user("no-such-user-here", &user));
}

static void test_finds_groups(void **state)
{
    struct process_user user = {.uid = TEST_UID, .gid = TEST_UID};

    (void)state;
    assert_true(process_add_group("64902", &user));
    assert_true(process_add_group("tty", &user));
    assert_int_equal(user.groups_count, 2);
    assert_int_equal(user.groups[0], 64902);
    assert_int_equal(user.groups[1], getgrnam("tty")->gr_gid);
    assert_false(process_add_group("root", &user));
    assert_false(process_add_group("0", &user));
    assert_false(process_add_group("", &user));
    assert_false(process_add_group("4294967295", &user));
    assert_false(process_add_group("no-such-group-here", &user));
    assert_int_equal(user.groups_count, 2);
    while (user.groups_count < PROCESS_GROUPS_MAX) {
        assert_true(process_add_group("64903", &user));
    }
    assert_false(process_add_group("64904", &user));
}

/* What the account is a member of in the group database does not count. */
static void test_keeps_named_groups_only(void **state)
{
    struct process_user user = nobody_here;
    int status;

    (void)state;
    assert_true(process_add_group("64902", &user));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const char *step;
        gid_t groups[PROCESS_GROUPS_MAX];
        bool confined = process_confine(PEER_KEEPER, &user, &step);
        _exit(confined && getgroups(PROCESS_GROUPS_MAX, groups) == 1 && groups[0] == 64902 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest as_root[] = {
        cmocka_unit_test(test_becomes_another_user),
        cmocka_unit_test(test_keeps_named_groups_only),
    };
    const struct CMUnitTest always[] = {
        cmocka_unit_test(test_has_no_capability),    cmocka_unit_test(test_is_closed_to_others),
        cmocka_unit_test(test_dies_with_its_parent), cmocka_unit_test(test_notices_a_dead_parent),
        cmocka_unit_test(test_finds_users),          cmocka_unit_test(test_finds_groups),
    };
    const struct CMUnitTest filtered[] = {
        cmocka_unit_test(test_starts_nothing),
        cmocka_unit_test(test_touches_no_process),
        cmocka_unit_test(test_touches_no_kernel),
        cmocka_unit_test(test_leaves_the_tree_alone),
        cmocka_unit_test(test_listens_nowhere),
        cmocka_unit_test(test_can_still_work),
        cmocka_unit_test(test_socket_families),
        cmocka_unit_test(test_opens_nothing_for_writing),
        cmocka_unit_test(test_can_abort),
        cmocka_unit_test(test_keeper_asks_kdc_and_winbind),
    };
    int failed = cmocka_run_group_tests(always, NULL, NULL);

    if (is_root()) {
        failed += cmocka_run_group_tests(as_root, NULL, NULL);
    }
    if (!PROCESS_IS_SANITIZED) {
        failed += cmocka_run_group_tests(filtered, NULL, NULL);
    }
    return failed;
}
