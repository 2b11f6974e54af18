cmake_minimum_required(VERSION 3.22)
# bundle: PROGRAM with all that it needs at run time but the C library, the GPU driver and CUDA's own libraries, in
# FOLDER and FOLDER.tar.gz, to run anywhere as anyone. SOURCE is the project.
#
#   bin/            links to start.sh, which sets the places and starts the program of the same name in lib/bin
#   lib/            libraries, found by the programs through RPATH, before LD_LIBRARY_PATH and the system's
#   lib/openmpi, lib/pmix, share/, etc/    what Open MPI and PMIx load and read

foreach(tool patchelf ompi_info)
  find_program(${tool} ${tool})
  if(NOT ${tool})
    message(FATAL_ERROR "the bundle needs ${tool}, which is not in PATH: install it (Debian: patchelf, openmpi-bin)")
  endif()
endforeach()

function(openmpi_path name variable)
  execute_process(COMMAND ${ompi_info} --path ${name} --parsable OUTPUT_VARIABLE line OUTPUT_STRIP_TRAILING_WHITESPACE
                  COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX REPLACE "^.*:${name}:" "" path "${line}")
  set(${variable} "${path}" PARENT_SCOPE)
endfunction()
openmpi_path(bindir bindir)
openmpi_path(pkglibdir plugins)
openmpi_path(pkgdatadir help)
openmpi_path(sysconfdir settings)

# Messages go through shared memory and TCP: the fabrics' plugins are left out with their drivers' libraries, and so are
# those of OpenSHMEM and of MPI's files.
file(GLOB plugin ${plugins}/mca_*.so)
list(FILTER plugin EXCLUDE REGEX
     "_(ofi|openib|psm2?|ucx|flux|monitoring|simulator)\\.so$|/mca_(atomic|memheap|scoll|spml|sshmem|io|fcoll|fbtl|fs|sharedfp)_")
file(REAL_PATH ${bindir}/mpirun mpirun)
set(programs ${PROGRAM} ${mpirun} ${bindir}/orted)

# The C library's family must be the target's, CUDA is the target's.
set(foreign "^(ld-linux.*|lib(c|m|dl|rt|pthread|util|resolv|nsl|anl)\\.so.*)$" "^lib(cuda|cublas|nccl|nvrtc|nvidia|nvJit).*")
file(GET_RUNTIME_DEPENDENCIES EXECUTABLES ${programs} MODULES ${plugin}
     RESOLVED_DEPENDENCIES_VAR libraries UNRESOLVED_DEPENDENCIES_VAR missing PRE_EXCLUDE_REGEXES ${foreign})
if(missing)
  message(FATAL_ERROR "the bundle lacks ${missing}")
endif()

# --- the folder
file(REMOVE_RECURSE ${FOLDER} ${FOLDER}.tar.gz)
function(take folder) # FILES...: under their own names, links followed
  file(MAKE_DIRECTORY ${FOLDER}/${folder})
  foreach(path ${ARGN})
    get_filename_component(name ${path} NAME)
    file(REAL_PATH ${path} real)
    file(COPY_FILE ${real} ${FOLDER}/${folder}/${name})
  endforeach()
endfunction()
take(lib ${libraries})
take(lib/bin ${PROGRAM} ${bindir}/mpirun ${bindir}/orted)
take(lib/openmpi ${plugin})
list(FILTER libraries INCLUDE REGEX "/libpmix\\.so")
foreach(library ${libraries}) # none where Open MPI has its own inside
  file(REAL_PATH ${library} real)
  get_filename_component(folder ${real} DIRECTORY)
  file(GLOB plugin ${folder}/pmix/*.so)
  take(lib/pmix ${plugin})
  find_path(pmix_help pmix/help-pcompress.txt PATHS ${folder}/../share /usr/share REQUIRED NO_DEFAULT_PATH)
  file(COPY ${pmix_help}/pmix DESTINATION ${FOLDER}/share)
endforeach()
file(COPY ${help}/ DESTINATION ${FOLDER}/share/openmpi)
take(etc ${settings}/openmpi-mca-params.conf ${settings}/openmpi-default-hostfile)
file(COPY ${SOURCE}/configs DESTINATION ${FOLDER}/share/ram_dist)
file(COPY ${SOURCE}/data/fetch_mnist.sh ${SOURCE}/data/checksums.sha256 DESTINATION ${FOLDER}/share/ram_dist/data)
take(lib/bin ${CMAKE_CURRENT_LIST_DIR}/start.sh)
file(MAKE_DIRECTORY ${FOLDER}/bin)
foreach(name ram_dist mpirun orted)
  file(CREATE_LINK ../lib/bin/start.sh ${FOLDER}/bin/${name} SYMBOLIC)
endforeach()

# --- libraries are found by their place; RPATH (not RUNPATH) comes before LD_LIBRARY_PATH, which may name another MPI
function(set_rpath rpath) # PATTERN...
  file(GLOB files ${ARGN})
  execute_process(COMMAND ${patchelf} --force-rpath --set-rpath ${rpath} ${files} COMMAND_ERROR_IS_FATAL ANY)
endfunction()
set_rpath("$ORIGIN" ${FOLDER}/lib/*.so*)
set_rpath("$ORIGIN/.." ${FOLDER}/lib/openmpi/*.so ${FOLDER}/lib/pmix/*.so ${FOLDER}/lib/bin/ram_dist
          ${FOLDER}/lib/bin/mpirun ${FOLDER}/lib/bin/orted)

get_filename_component(parent ${FOLDER} DIRECTORY)
get_filename_component(name ${FOLDER} NAME)
execute_process(COMMAND ${CMAKE_COMMAND} -E tar czf ${name}.tar.gz ${name} WORKING_DIRECTORY ${parent}
                COMMAND_ERROR_IS_FATAL ANY)
message(STATUS "bundle: ${FOLDER} and ${name}.tar.gz")
