#include "proxy/fsctl.h"

#include <stddef.h>

/* The parts of a control code: device type, required access, function, method. */
enum { DEVICE_SHIFT = 16, DEVICE_NAMED_PIPE = 0x11, ACCESS_SHIFT = 14, ACCESS_MASK = 3 };
enum { ACCESS_READ = 1 };

/* They need no access, or read access, and what each does is known. */
static const struct {
    uint32_t code;
    bool writes;
} known[] = {
    {0x00060194, false}, /* DFS_GET_REFERRALS */
    {0x000601b0, false}, /* DFS_GET_REFERRALS_EX */
    {0x00090028, false}, /* IS_VOLUME_MOUNTED */
    {0x0009002c, false}, /* IS_PATHNAME_VALID */
    {0x0009003c, false}, /* GET_COMPRESSION */
    {0x00090058, false}, /* QUERY_FAT_BPB */
    {0x00090060, false}, /* FILESYSTEM_GET_STATISTICS */
    {0x00090064, false}, /* GET_NTFS_VOLUME_DATA */
    {0x0009006f, false}, /* GET_VOLUME_BITMAP */
    {0x00090073, false}, /* GET_RETRIEVAL_POINTERS */
    {0x0009008f, false}, /* FIND_FILES_BY_SID */
    {0x00090098, true},  /* SET_OBJECT_ID */
    {0x0009009c, false}, /* GET_OBJECT_ID */
    {0x000900a0, true},  /* DELETE_OBJECT_ID */
    {0x000900a4, true},  /* SET_REPARSE_POINT */
    {0x000900a8, false}, /* GET_REPARSE_POINT */
    {0x000900ac, true},  /* DELETE_REPARSE_POINT */
    {0x000900bc, true},  /* SET_OBJECT_ID_EXTENDED */
    {0x000900c0, true},  /* CREATE_OR_GET_OBJECT_ID */
    {0x000900c4, true},  /* SET_SPARSE */
    {0x000900d7, true},  /* SET_ENCRYPTION */
    {0x000900eb, false}, /* READ_FILE_USN_DATA */
    {0x000900ef, true},  /* WRITE_USN_CLOSE_RECORD */
    {0x00090100, true},  /* SIS_COPYFILE */
    {0x00090138, false}, /* QUERY_SPARING_INFO */
    {0x0009013c, false}, /* QUERY_ON_DISK_VOLUME_INFO */
    {0x00090194, true},  /* SET_ZERO_ON_DEALLOCATION */
    {0x00090240, false}, /* REQUEST_OPLOCK */
    {0x0009027c, false}, /* GET_INTEGRITY_INFORMATION */
    {0x00090284, false}, /* QUERY_FILE_REGIONS */
    {0x00090304, true},  /* SVHDX_SYNC_TUNNEL_REQUEST */
    {0x00090364, true},  /* SVHDX_ASYNC_TUNNEL_REQUEST */
    {0x000903d3, false}, /* GET_RETRIEVAL_POINTERS_AND_REFCOUNT */
    {0x00140078, false}, /* SRV_REQUEST_RESUME_KEY */
    {0x001400ec, true},  /* LMR_SET_LINK_TRACKING_INFORMATION */
    {0x001401d4, false}, /* LMR_REQUEST_RESILIENCY */
    {0x001401fc, false}, /* QUERY_NETWORK_INTERFACE_INFO */
    {0x00140204, false}, /* VALIDATE_NEGOTIATE_INFO */
    {0x001440f2, true},  /* SRV_COPYCHUNK: the file it is sent for is written */
};

bool fsctl_writes(uint32_t code)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].code == code)
            return known[i].writes;
    return (code >> ACCESS_SHIFT & ACCESS_MASK) != ACCESS_READ;
}

bool fsctl_is_of_pipes(uint32_t code)
{
    return code >> DEVICE_SHIFT == DEVICE_NAMED_PIPE;
}
