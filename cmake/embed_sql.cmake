# capstan_embed_sql(RET_SOURCE FILE...): a C source with `const char sql_<file>[]` for each file.
# Bytes, not literals, because C11 compilers need not take a literal of more than 4,095 characters.
function(capstan_embed_sql ret_source)
  set(text "")
  foreach(file ${ARGN})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
    string(APPEND text "extern const char sql_${name}[];\n"
      "const char sql_${name}[] = {${bytes}0};\n")
  endforeach()
  set(source ${CMAKE_CURRENT_BINARY_DIR}/embedded_sql.c)
  file(CONFIGURE OUTPUT ${source} CONTENT "${text}" @ONLY)
  set(${ret_source} ${source} PARENT_SCOPE)
endfunction()
