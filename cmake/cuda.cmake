# CUDA is found, not demanded: RAM_CUDA is AUTO, ON (an error without a toolkit) or OFF. Sets RAM_WITH_CUDA and, with it,
# the language CUDA and the targets CUDA::*.
set(RAM_CUDA AUTO CACHE STRING "Build the CUDA backend: AUTO (where a toolkit is found), ON or OFF")
set_property(CACHE RAM_CUDA PROPERTY STRINGS AUTO ON OFF)
set(RAM_WITH_CUDA FALSE)

if(RAM_CUDA)
  find_program(RAM_NVCC nvcc HINTS ${CUDAToolkit_ROOT} ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin
               DOC "CUDA compiler")
  if(RAM_NVCC AND NOT DEFINED ENV{CUDACXX})
    set(ENV{CUDACXX} ${RAM_NVCC})
  endif()
  include(CheckLanguage)
  check_language(CUDA) # a compiler that does not work here is none
  if(CMAKE_CUDA_COMPILER)
    if(NOT CUDAToolkit_ROOT)
      get_filename_component(CUDAToolkit_ROOT ${CMAKE_CUDA_COMPILER}/../.. ABSOLUTE)
    endif()
    find_package(CUDAToolkit QUIET)
  endif()
  if(CUDAToolkit_FOUND AND TARGET CUDA::cublas AND CUDAToolkit_VERSION VERSION_GREATER_EQUAL 11.8)
    # Each GPU runs the code of the greatest architecture of its generation that is not above its own; newer generations
    # compile the last one's for themselves. CUDA 13 has no V100 (70) any more.
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 90)
      if(CUDAToolkit_VERSION VERSION_LESS 13)
        list(PREPEND CMAKE_CUDA_ARCHITECTURES 70-real)
      endif()
    endif()
    enable_language(CUDA)
    set(CMAKE_CUDA_STANDARD 17)
    set(RAM_WITH_CUDA TRUE)
  endif()
  if(NOT RAM_WITH_CUDA AND NOT RAM_CUDA STREQUAL AUTO)
    message(FATAL_ERROR "RAM_CUDA is ON, but no CUDA toolkit of 11.8 or newer with nvcc and cuBLAS was found: set CUDAToolkit_ROOT, or RAM_CUDA=OFF")
  endif()
endif()

if(RAM_WITH_CUDA)
  message(STATUS "CUDA ${CUDAToolkit_VERSION}: the CUDA backend is built for ${CMAKE_CUDA_ARCHITECTURES}")
else()
  message(STATUS "no CUDA backend: CPU only")
endif()
