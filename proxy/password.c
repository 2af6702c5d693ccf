#include "proxy/password.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* A signal while echo is off must not leave the terminal so: it ends the read, and is raised again
 * when the terminal is as it was. */
static const int held_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
enum { HELD_SIGNALS = sizeof held_signals / sizeof held_signals[0] };
static volatile sig_atomic_t caught;

static void catch_signal(int number)
{
    caught = number;
}

/* Byte by byte and without stdio: what follows the line stays unread, and no buffer that nobody
 * wipes holds a copy. False at an error or an interruption; the end of the input ends the line. */
static bool read_line(int fd, struct writer *line)
{
    uint8_t byte = 0;
    for (;;) {
        ssize_t got = read(fd, &byte, 1);
        if (got < 0 && errno == EINTR && !caught)
            continue;
        if (got < 0)
            return false;
        if (got == 0 || byte == '\n')
            break;
        write_u8(line, byte);
    }
    write_u8(line, '\0');
    OPENSSL_cleanse(&byte, sizeof byte);
    return true;
}

/* NULL, or why what was read cannot be a password. */
static const char *judge(const char password[PASSWORD_MAX + 1], const struct writer *line)
{
    if (!writer_done(line))
        return "the password is too long";
    if (writer_size(line) != strlen(password) + 1)
        return "the password holds a NUL byte";
    if (password[0] == '\0')
        return "there is no password; an empty one would let anybody in";
    for (size_t i = 0; password[i] != '\0'; i++) {
        unsigned char byte = (unsigned char)password[i];
        if (byte < 0x20 || byte == 0x7f)
            return "the password holds a control character (a carriage return of a Windows file?)";
    }
    return NULL;
}

static bool read_checked(int fd, char password[PASSWORD_MAX + 1], const char **why)
{
    struct writer line = writer_over(password, PASSWORD_MAX + 1);
    if (!read_line(fd, &line)) {
        *why = "the password could not be read";
        return false;
    }
    *why = judge(password, &line);
    return *why == NULL;
}

struct quiet {
    struct termios terminal;
    struct sigaction actions[HELD_SIGNALS];
};

static void echo_on(int fd, const struct quiet *quiet)
{
    tcsetattr(fd, TCSADRAIN, &quiet->terminal);
    for (size_t i = 0; i < HELD_SIGNALS; i++)
        sigaction(held_signals[i], &quiet->actions[i], NULL);
    if (caught)
        raise(caught);
}

static bool echo_off(int fd, struct quiet *quiet)
{
    struct sigaction action = {.sa_handler = catch_signal}; /* no SA_RESTART */
    if (tcgetattr(fd, &quiet->terminal) != 0)
        return false;
    struct termios silent = quiet->terminal;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    silent.c_lflag |= ECHONL;
    caught = 0;
    for (size_t i = 0; i < HELD_SIGNALS; i++)
        sigaction(held_signals[i], &action, &quiet->actions[i]);
    if (tcsetattr(fd, TCSAFLUSH, &silent) == 0)
        return true;
    echo_on(fd, quiet);
    return false;
}

static bool ask(int fd, const char *account, const char *which, char password[PASSWORD_MAX + 1],
                const char **why)
{
    struct quiet quiet;
    *why = "the terminal's echo cannot be turned off";
    if (!echo_off(fd, &quiet))
        return false;
    fprintf(stderr, "Password of %s%s: ", account, which);
    fflush(stderr);
    bool ok = read_checked(fd, password, why);
    echo_on(fd, &quiet);
    return ok;
}

bool password_read(int fd, const char *account, char password[PASSWORD_MAX + 1], const char **why)
{
    char again[PASSWORD_MAX + 1];
    if (!isatty(fd))
        return read_checked(fd, password, why);
    bool ok = ask(fd, account, "", password, why) && ask(fd, account, " again", again, why);
    if (ok && strcmp(password, again) != 0) {
        *why = "the two passwords differ";
        ok = false;
    }
    OPENSSL_cleanse(again, sizeof again);
    return ok;
}
