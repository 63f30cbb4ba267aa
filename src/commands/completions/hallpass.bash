# Completes the arguments of hallpass in bash 3.2 and later.
_hallpass() {
  local IFS=$'\n' i word raw prefix candidate rest glued=
  local words=()
  COMPREPLY=()
  # bash splits words at = and : as well.
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ ${#words[@]} -gt 0 && ( -n $glued || ( -n $word && -z ${word//[=:]/} ) ) ]]; then
      words[${#words[@]}-1]+=$word
    else
      words[${#words[@]}]=$word
    fi
    glued=
    [[ -n $word && -z ${word//[=:]/} ]] && glued=yes
  done
  ((${#words[@]})) || return 0
  raw=$word
  [[ -n $glued ]] && raw=
  word=${words[${#words[@]}-1]}
  unset "words[${#words[@]}-1]"
  # bash replaces only what follows the last = or :.
  prefix=${word:0:${#word}-${#raw}}
  while IFS=$'\t' read -r candidate rest; do
    case $candidate in
      :files) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -f -- "$raw")) ;;
      :directories) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -d -- "$raw")) ;;
      :commands) COMPREPLY+=($(compgen -c -- "$raw")) ;;
      *)
        [[ $candidate == *= ]] && compopt -o nospace 2>/dev/null
        printf -v candidate %q "${candidate#"$prefix"}"
        COMPREPLY[${#COMPREPLY[@]}]=$candidate
        ;;
    esac
  done < <(command hallpass complete "=$word" ${words[@]+"${words[@]}"} 2>/dev/null)
}
complete -F _hallpass hallpass
