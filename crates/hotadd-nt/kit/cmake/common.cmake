# What both toolchains share. A driver is an executable to CMake: that is how its files describe one for Windows.
get_filename_component(HOTADD_KIT "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR AMD64)
set(CMAKE_C_COMPILER "${HOTADD_KIT}/bin/${HOTADD_KIT_FORM}-cc")
set(CMAKE_CXX_COMPILER "${HOTADD_KIT}/bin/${HOTADD_KIT_FORM}-c++")
set(CMAKE_EXECUTABLE_SUFFIX ".${HOTADD_KIT_FORM}")
set(CMAKE_EXECUTABLE_SUFFIX_C ".${HOTADD_KIT_FORM}")
set(CMAKE_EXECUTABLE_SUFFIX_CXX ".${HOTADD_KIT_FORM}")
# A test program would have no DriverEntry.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
# find_package(WDK) finds the module of this kit, with wdk_add_driver and wdk_add_library.
list(APPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")
