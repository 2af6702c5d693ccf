/*
 * The catalogue of events and of their fields. docs/events.md tells administrators the same; a unit
 * test holds the two together.
 */
#include "policy/event_json.h"

/* Windows' own channels, without their prefix "Microsoft-Windows-". */
#define SERVER_AUDIT    "SMBServer/Audit"
#define SERVER_SECURITY "SMBServer/Security"
#define CLIENT_AUDIT    "SMBClient/Audit"
#define CLIENT_SECURITY "SMBClient/Security"

static const struct event_description descriptions[EVENT_KIND_COUNT] = {
    [EVENT_LISTENER_UP] = {"listener_up", SEVERITY_NOTICE, 0, NULL,
                           "A listener accepts connections."},
    [EVENT_RELOADED] = {"reloaded", SEVERITY_NOTICE, 0, NULL,
                        "Configuration and credentials were read again and are in use."},
    [EVENT_RELOAD_REFUSED] = {"reload_refused", SEVERITY_ERROR, 0, NULL,
                              "Configuration and credentials were read again and cannot be used; "
                              "everything stays as it was."},
    [EVENT_PROCESS_ENDED] = {"process_ended", SEVERITY_ERROR, 0, NULL,
                             "One of Countersign's own processes died and is being restarted."},
    [EVENT_COUNTERS] = {"counters", SEVERITY_INFO, 0, NULL,
                        "How often each kind of event happened since the start."},
    [EVENT_LINK] = {"link", SEVERITY_INFO, 0, NULL,
                    "A client was joined to its file server: both legs are negotiated."},
    [EVENT_LINK_ENDED] = {"link_ended", SEVERITY_INFO, 0, NULL, "A client connection ended."},
    [EVENT_LOGIN] = {"login", SEVERITY_INFO, 0, NULL,
                     "A user is authenticated on both legs: a session pair is up."},
    [EVENT_LOGOFF] = {"logoff", SEVERITY_INFO, 0, NULL, "A session pair ended."},
    [EVENT_TREE_CONNECT] = {"tree_connect", SEVERITY_INFO, 0, NULL,
                            "A user connected to a share, or was not let in."},
    [EVENT_SMB1_REFUSED] = {"smb1_refused", SEVERITY_WARNING, 3000, SERVER_AUDIT,
                            "A client spoke SMB1 and offered no way into SMB2 that policy allows."},
    [EVENT_DIALECT_REFUSED] = {"dialect_refused", SEVERITY_WARNING, 0, NULL,
                               "A client offered no dialect that policy allows."},
    [EVENT_NEGOTIATE_REFUSED] = {"negotiate_refused", SEVERITY_WARNING, 0, NULL,
                                 "A client's NEGOTIATE was malformed or contradicted itself."},
    [EVENT_UNSIGNED_REFUSED] = {"unsigned_refused", SEVERITY_WARNING, 3021, SERVER_AUDIT,
                                "A client's message that must be signed was not."},
    [EVENT_UNENCRYPTED_REFUSED] = {"unencrypted_refused", SEVERITY_WARNING, 3022, SERVER_AUDIT,
                                   "A client's message that must be encrypted was not, or a client "
                                   "cannot encrypt where policy asks for it."},
    [EVENT_BAD_SIGNATURE] = {"bad_signature", SEVERITY_ERROR, 0, NULL,
                             "The signature of a client's message did not verify."},
    [EVENT_PREAUTH_MISMATCH] = {"preauth_mismatch", SEVERITY_ERROR, 0, NULL,
                                "At dialect 3.1.1 the first signature after a right login did not "
                                "verify: somebody changed the negotiation on the way."},
    [EVENT_LOGIN_REFUSED] = {"login_refused", SEVERITY_WARNING, 551, SERVER_SECURITY,
                             "A client's authentication was refused."},
    [EVENT_NTLMV1_REFUSED] = {"ntlmv1_refused", SEVERITY_WARNING, 551, SERVER_SECURITY,
                              "A client tried NTLMv1 or LM, which are never accepted."},
    [EVENT_NTLM_REFUSED] = {"ntlm_refused", SEVERITY_WARNING, 4002, "NTLM/Operational",
                            "A client tried NTLM where only Kerberos is taken."},
    [EVENT_KERBEROS_REFUSED] = {"kerberos_refused", SEVERITY_WARNING, 551, SERVER_SECURITY,
                                "A client's Kerberos ticket was refused."},
    [EVENT_RC4_REFUSED] = {"rc4_refused", SEVERITY_WARNING, 551, SERVER_SECURITY,
                           "A Kerberos ticket or session key has an encryption type that policy "
                           "does not take."},
    [EVENT_DOMAIN_UNAVAILABLE] = {"domain_unavailable", SEVERITY_ERROR, 0, NULL,
                                  "No domain controller, or no winbind, could be asked about a "
                                  "login."},
    [EVENT_KDC_UNREACHABLE] = {"kdc_unreachable", SEVERITY_ERROR, 0, NULL,
                               "No KDC answered, so a login upstream was not possible."},
    [EVENT_DELEGATION_REFUSED] = {"delegation_refused", SEVERITY_WARNING, 0, NULL,
                                  "The KDC does not let Countersign act for a user at the file "
                                  "server."},
    [EVENT_ANONYMOUS_REFUSED] = {"anonymous_refused", SEVERITY_WARNING, 551, SERVER_SECURITY,
                                 "A client tried to log in as nobody."},
    [EVENT_GUEST_LOGIN_REFUSED] = {"guest_login_refused", SEVERITY_WARNING, 551, SERVER_SECURITY,
                                   "A client tried to log in as guest, or a domain controller took "
                                   "it as one."},
    [EVENT_GUEST_REFUSED] = {"guest_refused", SEVERITY_ERROR, 31017, CLIENT_SECURITY,
                             "A file server answered a login as guest or anonymous."},
    [EVENT_TARGET_NAME_REFUSED] = {"target_name_refused", SEVERITY_ERROR, 5168, "Security",
                                   "A client meant another server: its authentication was relayed, "
                                   "or a name is missing from the listener."},
    [EVENT_MIC_REFUSED] = {"mic_refused", SEVERITY_ERROR, 551, SERVER_SECURITY,
                           "The integrity code of an NTLM login was wrong or missing."},
    [EVENT_MECHANISM_DOWNGRADED] = {"mechanism_downgraded", SEVERITY_ERROR, 551, SERVER_SECURITY,
                                    "The choice of the authentication mechanism was not confirmed, "
                                    "or somebody changed it on the way."},
    [EVENT_MIC_ABSENT] = {"mic_absent", SEVERITY_NOTICE, 0, NULL,
                          "An NTLM login without an integrity code was allowed by policy."},
    [EVENT_TARGET_NAME_ABSENT] = {"target_name_absent", SEVERITY_NOTICE, 3024, SERVER_AUDIT,
                                  "A login without a target name was allowed by policy."},
    [EVENT_UPSTREAM_UNREACHABLE] = {"upstream_unreachable", SEVERITY_ERROR, 0, NULL,
                                    "A file server did not answer in time."},
    [EVENT_UPSTREAM_REFUSED] = {"upstream_refused", SEVERITY_ERROR, 0, NULL,
                                "A file server speaks no dialect of ours, or nonsense."},
    [EVENT_UPSTREAM_SMB1_ONLY] = {"upstream_smb1_only", SEVERITY_ERROR, 0, NULL,
                                  "A file server speaks only SMB1."},
    [EVENT_UPSTREAM_NO_SIGNING] = {"upstream_no_signing", SEVERITY_ERROR, 31998, CLIENT_AUDIT,
                                   "A file server does not offer signing, or did not sign."},
    [EVENT_UPSTREAM_BAD_SIGNATURE] = {"upstream_bad_signature", SEVERITY_ERROR, 0, NULL,
                                      "The signature of a file server's message did not verify."},
    [EVENT_UPSTREAM_UNVERIFIED] = {"upstream_unverified", SEVERITY_WARNING, 0, NULL,
                                   "A session was ended by a file server's message that could not "
                                   "be verified."},
    [EVENT_REFLECTION_REFUSED] = {"reflection_refused", SEVERITY_ERROR, 0, NULL,
                                  "A file server answered with a challenge that we had given to a "
                                  "client."},
    [EVENT_QUIRK_USED] = {"quirk_used", SEVERITY_NOTICE, 0, NULL,
                          "A fault of a file server was tolerated, as its configuration says."},
    [EVENT_UPSTREAM_LOGIN_REFUSED] = {"upstream_login_refused", SEVERITY_WARNING, 0, NULL,
                                      "A file server refused the upstream login of a user that was "
                                      "authenticated here."},
    [EVENT_UPSTREAM_ENCRYPTION] = {"upstream_encryption", SEVERITY_ERROR, 31999, CLIENT_AUDIT,
                                   "The file server or policy demands encryption that the "
                                   "upstream leg cannot do."},
    [EVENT_VALIDATE_MISMATCH] = {"validate_mismatch", SEVERITY_ERROR, 0, NULL,
                                 "What the two ends negotiated is not what each of them sent: "
                                 "somebody changed it on the way."},
    [EVENT_LOGIN_FALLBACK] = {"login_fallback", SEVERITY_NOTICE, 0, NULL,
                              "A later login of the upstream's list was used."},
    [EVENT_SESSION_EXPIRED] = {"session_expired", SEVERITY_INFO, 0, NULL,
                               "The proof of a session has run out; the client is asked for a new "
                               "one."},
    [EVENT_SESSION_RENEWED] = {"session_renewed", SEVERITY_INFO, 0, NULL,
                               "The upstream session was authenticated again, without the "
                               "client."},
    [EVENT_LOGIN_ABANDONED] = {"login_abandoned", SEVERITY_WARNING, 0, NULL,
                               "A client left right after its login without one valid signed "
                               "request."},
    [EVENT_IDENTITY_CHANGED] = {"identity_changed", SEVERITY_ERROR, 0, NULL,
                                "A session tried to become somebody else by re-authentication."},
    [EVENT_FOREIGN_SESSION] = {"foreign_session", SEVERITY_WARNING, 0, NULL,
                               "A client named a session that is somebody else's."},
    [EVENT_BINDING_REFUSED] = {"binding_refused", SEVERITY_NOTICE, 0, NULL,
                               "A client asked to bind a session to a second connection."},
    [EVENT_BYPASS_REFUSED] = {"bypass_refused", SEVERITY_NOTICE, 0, NULL,
                              "A client asked for what leads around Countersign, or a file "
                              "server sent it there."},
    [EVENT_PROTOCOL_ERROR] = {"protocol_error", SEVERITY_WARNING, 0, NULL,
                              "A message was malformed or out of order."},
    [EVENT_LIMIT_REACHED] = {"limit_reached", SEVERITY_WARNING, 0, NULL,
                             "A limit of the configuration was reached."},
    [EVENT_SESSION_REJUDGED] = {"session_rejudged", SEVERITY_WARNING, 0, NULL,
                                "A reload was applied, and what is configured now refuses what "
                                "was connected."},
    [EVENT_RULE_REFUSED] = {"rule_refused", SEVERITY_WARNING, 0, NULL,
                            "A rule refused a login, a share or a named pipe."},
    [EVENT_RULE_AUDIT] = {"rule_audit", SEVERITY_NOTICE, 0, NULL,
                          "A rule would have refused this, and says audit."},
    [EVENT_READ_ONLY_REFUSED] = {"read_only_refused", SEVERITY_NOTICE, 0, NULL,
                                 "A client tried to change something where a rule says "
                                 "read_only."},
    [EVENT_PIPE_REFUSED] = {"pipe_refused", SEVERITY_NOTICE, 0, NULL,
                            "A client tried to open a named pipe that no rule opens."},
    [EVENT_RPC_BIND_REFUSED] = {"rpc_bind_refused", SEVERITY_WARNING, 0, NULL,
                                "A client tried to log in inside a named pipe, or sent something "
                                "there that is no DCE/RPC."},
    [EVENT_RPC_CALL_REFUSED] = {"rpc_call_refused", SEVERITY_WARNING, 0, NULL,
                                "A call in a named pipe is encrypted with the key of the "
                                "connection, which the two sides do not share."},
    [EVENT_NAME_MISMATCH] = {"name_mismatch", SEVERITY_NOTICE, 0, NULL,
                             "A client called this server by different names in one session."},
    [EVENT_CLIENT_NO_SIGNING] = {"client_no_signing", SEVERITY_NOTICE, 3021, SERVER_AUDIT,
                                 "A client says that it has signing neither enabled nor required; "
                                 "it must sign all the same."},
    [EVENT_CLIENT_NO_ENCRYPTION] = {"client_no_encryption", SEVERITY_NOTICE, 3022, SERVER_AUDIT,
                                    "A client cannot encrypt where policy prefers it."},
    [EVENT_UPSTREAM_NO_ENCRYPTION] = {"upstream_no_encryption", SEVERITY_NOTICE, 31999,
                                      CLIENT_AUDIT,
                                      "A file server cannot encrypt where policy prefers it."},
    [EVENT_UPSTREAM_FORGED] = {"upstream_forged", SEVERITY_ERROR, 0, NULL,
                               "An unsigned message from a file server belongs to nothing that was "
                               "asked or opened."},
    [EVENT_MESSAGE_REPLAYED] = {"message_replayed", SEVERITY_ERROR, 0, NULL,
                                "A client's message came a second time."},
    [EVENT_EVENTS_LOST] = {"events_lost", SEVERITY_ERROR, 0, NULL,
                           "A worker had more events than it could get rid of, and dropped some."},
    [EVENT_LIMITER_ACTED] = {"limiter_acted", SEVERITY_WARNING, 0, NULL,
                             "After too many failed logins an attempt was refused without being "
                             "looked at."},
    [EVENT_DOWNGRADE] = {"downgrade", SEVERITY_ERROR, 0, NULL,
                         "A client or a file server offers less than it once could."},
    [EVENT_CONTEXTS_STRIPPED] = {"contexts_stripped", SEVERITY_ERROR, 0, NULL,
                                 "A negotiate context is missing that the same client or file "
                                 "server once sent."},
    [EVENT_SERVER_CHANGED] = {"server_changed", SEVERITY_WARNING, 0, NULL,
                              "A file server has another GUID or another name than before."},
    [EVENT_MEMORY_DAMAGED] = {"memory_damaged", SEVERITY_ERROR, 0, NULL,
                              "What clients and file servers once could was not readable, and is "
                              "learnt anew."},
    [EVENT_MEMORY_FORGOTTEN] = {"memory_forgotten", SEVERITY_NOTICE, 0, NULL,
                                "What a client or a file server once could was forgotten by "
                                "request."},
};

static const char *const field_names[FIELD_COUNT] = {
    [FIELD_LEG] = "leg",
    [FIELD_REASON] = "reason",
    [FIELD_TEXT] = "text",
    [FIELD_VERDICT] = "verdict",
    [FIELD_REPEATS] = "repeats",
    [FIELD_LISTENER] = "listener",
    [FIELD_UPSTREAM] = "upstream",
    [FIELD_CLIENT_ADDRESS] = "client_address",
    [FIELD_CLIENT_PORT] = "client_port",
    [FIELD_UPSTREAM_ADDRESS] = "upstream_address",
    [FIELD_UPSTREAM_PORT] = "upstream_port",
    [FIELD_USER] = "user",
    [FIELD_DOMAIN] = "domain",
    [FIELD_PRINCIPAL] = "principal",
    [FIELD_CLAIMED] = "claimed",
    [FIELD_MECHANISM] = "mechanism",
    [FIELD_AUTHORITY] = "authority",
    [FIELD_WORKSTATION] = "workstation",
    [FIELD_TARGET_NAME] = "target_name",
    [FIELD_LOGIN] = "login",
    [FIELD_ACCOUNT] = "account",
    [FIELD_NETNAME] = "netname",
    [FIELD_SHARE] = "share",
    [FIELD_PIPE] = "pipe",
    [FIELD_RULE] = "rule",
    [FIELD_COMMAND] = "command",
    [FIELD_STATUS] = "status",
    [FIELD_OFFERED] = "offered",
    [FIELD_CHOSEN] = "chosen",
    [FIELD_REMEMBERED] = "remembered",
    [FIELD_CLIENT_DIALECT] = "client_dialect",
    [FIELD_CLIENT_SIGNING] = "client_signing",
    [FIELD_CLIENT_CIPHER] = "client_cipher",
    [FIELD_UPSTREAM_DIALECT] = "upstream_dialect",
    [FIELD_UPSTREAM_SIGNING] = "upstream_signing",
    [FIELD_UPSTREAM_CIPHER] = "upstream_cipher",
    [FIELD_CLIENT_GUID] = "client_guid",
    [FIELD_SESSION] = "session",
    [FIELD_LINK] = "link",
    [FIELD_WORKER] = "worker",
    [FIELD_PID] = "pid",
    [FIELD_LOST] = "lost",
};

const struct event_description *event_describe(enum event_kind kind)
{
    return &descriptions[kind];
}

const char *event_field_name(enum event_field field)
{
    return field_names[field];
}

const char *event_severity_name(enum event_severity severity)
{
    static const char *const names[] = {"info", "notice", "warning", "error"};
    return names[severity];
}

bool event_field_is_number(enum event_field field)
{
    return field == FIELD_CLIENT_PORT || field == FIELD_UPSTREAM_PORT || field == FIELD_LINK ||
           field == FIELD_WORKER || field == FIELD_PID || field == FIELD_REPEATS ||
           field == FIELD_LOST;
}
