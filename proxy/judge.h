/*
 * What the rules say of a session, a share or a pipe, and the events of it.
 */
#ifndef COUNTERSIGN_PROXY_JUDGE_H
#define COUNTERSIGN_PROXY_JUDGE_H

#include "policy/rule.h"
#include "proxy/link.h"

/* Of a client that has proved who it is: nothing has gone to the file server for it yet. Notes in
 * the session what is demanded of it. False when it is refused, with an event. */
MUST_USE bool judge_login(struct session *session);
/* The same of one who has renewed a session that is up: one that is not encrypted stays so, and
 * where that is demanded now it is refused. */
MUST_USE bool judge_renewal(struct session *session);

/* Of a share: `path` is the UNC path of which `share` is the last part, both for the log. False
 * when it is refused. judge_share() writes the events; judge_share_again() tells the same verdict
 * without any. */
MUST_USE bool judge_share(struct session *session, const char *share, const char *path,
                          struct rule_verdict *verdict);
void judge_share_again(const struct session *session, const char *share,
                       struct rule_verdict *verdict);

/* The same of a pipe, by its bare name. */
MUST_USE bool judge_pipe(struct session *session, const char *pipe, struct rule_verdict *verdict);
void judge_pipe_again(const struct session *session, const char *pipe,
                      struct rule_verdict *verdict);

/* Compares the server of a UNC path with the other names by which the client called us; the first
 * mismatch of a session is an event. */
void judge_server_name(struct session *session, const char *server, const char *path);

#endif
