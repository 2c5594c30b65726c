/*
 * Sets two of the three members of a PROCESSOR_NUMBER. The third has what was on the stack. If that is not zero, the
 * number is not translated.
 */
#include "zoo.h"

static VOID Complete(PCHANGE Change)
{
    PROCESSOR_NUMBER number;

    /* The fault: Reserved must be zero. */
    number.Group = Change->ProcNumber.Group;
    number.Number = Change->ProcNumber.Number;
    DbgPrint("zoo: processor %lu joined\n", KeGetProcessorIndexFromNumber(&number));
    ZooComplete(Change);
}

ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
