/* From here to poppack.h, members of structures are aligned to at most 1 byte. Can be read again. */
#pragma pack(push, 1)
