#include "proxy/read_only.h"

#include "proxy/body.h"
#include "proxy/fsctl.h"

/* Access masks (MS-SMB2 2.2.13.1.1, 2.2.13.1.2). */
#define WRITE_DATA             0x00000002u /* of a directory: ADD_FILE */
#define APPEND_DATA            0x00000004u /* ADD_SUBDIRECTORY */
#define WRITE_EA               0x00000010u
#define DELETE_CHILD           0x00000040u
#define WRITE_ATTRIBUTES       0x00000100u
#define DELETE                 0x00010000u
#define WRITE_DAC              0x00040000u
#define WRITE_OWNER            0x00080000u
#define ACCESS_SYSTEM_SECURITY 0x01000000u
#define MAXIMUM_ALLOWED        0x02000000u
#define GENERIC_ALL            0x10000000u
#define GENERIC_WRITE          0x40000000u
#define FILE_GENERIC_READ      0x00120089u

enum { FILE_OPEN = 1, FILE_OPEN_IF = 3, FILE_DELETE_ON_CLOSE = 0x1000 };
enum { AT_DESIRED_ACCESS = SMB2_HEADER_SIZE + 24, AT_DISPOSITION = SMB2_HEADER_SIZE + 36 };

static const uint32_t changing = WRITE_DATA | APPEND_DATA | WRITE_EA | DELETE_CHILD |
                                 WRITE_ATTRIBUTES | DELETE | WRITE_DAC | WRITE_OWNER |
                                 ACCESS_SYSTEM_SECURITY | GENERIC_ALL | GENERIC_WRITE;

static bool create_forbidden(const struct smb2_message *message)
{
    struct create_request body;
    if (!create_request_read((struct span){message->at, message->size}, &body))
        return true;
    return body.desired_access & changing || body.options & FILE_DELETE_ON_CLOSE ||
           (body.disposition != FILE_OPEN && body.disposition != FILE_OPEN_IF);
}

bool read_only_forbids(const struct smb2_message *message)
{
    struct ioctl_request ioctl;
    switch (message->header.command) {
    case SMB2_CREATE: return create_forbidden(message);
    case SMB2_WRITE:
    case SMB2_SET_INFO: return true;
    case SMB2_IOCTL:
        return !ioctl_request_read((struct span){message->at, message->size}, &ioctl) ||
               fsctl_writes(ioctl.code);
    default: return false;
    }
}

void read_only_limit(struct smb2_message *create)
{
    uint32_t access = get_le32(create->at + AT_DESIRED_ACCESS);
    if (access & MAXIMUM_ALLOWED)
        put_le32(create->at + AT_DESIRED_ACCESS, (access & ~MAXIMUM_ALLOWED) | FILE_GENERIC_READ);
    if (get_le32(create->at + AT_DISPOSITION) == FILE_OPEN_IF)
        put_le32(create->at + AT_DISPOSITION, FILE_OPEN);
}
