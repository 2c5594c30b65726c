/* From here to poppack.h, members of structures are aligned to at most 8 bytes. Can be read again. */
#pragma pack(push, 8)
