# find_package(WDK): the functions that CMake projects of drivers commonly use, with this kit in place of the Windows
# Driver Kit. Options that concern a version of Windows or a framework are accepted; drivers for KMDF do not link,
# because hotadd does not host that framework.
set(WDK_FOUND TRUE)
set(WDK_ROOT "${CMAKE_CURRENT_LIST_DIR}/..")

function(hotadd_kit_sources result)
    cmake_parse_arguments(KIT "" "KMDF;WINVER;NTDDI_VERSION;SUBSYSTEM" "" ${ARGN})
    if(DEFINED KIT_KMDF)
        message(FATAL_ERROR "KMDF drivers are not hosted by hotadd: the driver imports the framework's functions")
    endif()
    set(${result} ${KIT_UNPARSED_ARGUMENTS} PARENT_SCOPE)
endfunction()

function(wdk_add_driver target)
    hotadd_kit_sources(sources ${ARGN})
    add_executable(${target} ${sources})
endfunction()

function(wdk_add_library target)
    hotadd_kit_sources(sources ${ARGN})
    add_library(${target} ${sources})
endfunction()
