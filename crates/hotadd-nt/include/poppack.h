/* Undoes the last pshpack header. Can be read again. */
#pragma pack(pop)
